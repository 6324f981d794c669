// Delay lines before the first layer. The spikes of a frame are counted by channel, and kept; when it ends, each line sends on what its
// channel got so many frames ago, line n that of channel n mod CHANNELS, as spikes with its own number.
// Cycles: 3 a spike that arrives; at the end of a frame 3 a line, 1 for every spike of a line after its first, and 2.
/* verilator lint_off UNUSEDSIGNAL */  // upper and lower bits of products, sums and indices
module m1t1r_lines #(
    parameter CHANNELS = 1,
    parameter IN_BITS = 1,
    parameter LINES = 1,
    parameter LINE_BITS = 1,
    parameter FRAMES = 2,      // kept: the frame that arrives, those of the longest delay, and one to be cleared for the next
    parameter FRAME_BITS = 1,
    parameter COUNT_BITS = 8,  // of a channel's spikes in a frame; what is beyond is not counted
    parameter DELAYS = ""
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               in_valid,
    output wire               in_ready,
    input  wire               in_last,
    input  wire [IN_BITS-1:0] in_addr,
    output wire               out_push,
    output wire [LINE_BITS:0] out_data,
    input  wire               out_full
);
    localparam CLEAR = 3'd0, TAKE = 3'd1, COUNT = 3'd2, ADD = 3'd3, DELAY = 3'd4, FETCH = 3'd5, SEND = 3'd6, LAST = 3'd7;
    /* verilator lint_off WIDTHTRUNC */
    localparam [IN_BITS-1:0] LAST_CHANNEL = CHANNELS - 1;
    localparam [LINE_BITS-1:0] LAST_LINE = LINES - 1;
    localparam [FRAME_BITS-1:0] LAST_FRAME = FRAMES - 1;
    localparam [FRAME_BITS:0] ROUND = FRAMES;
    localparam [IN_BITS:0] CHANNEL_COUNT = CHANNELS;
    /* verilator lint_on WIDTHTRUNC */

    reg [2:0] state;
    reg [FRAME_BITS-1:0] now;  // where the frame that arrives is kept
    reg [IN_BITS-1:0] channel;
    reg [LINE_BITS-1:0] line;
    reg first;                 // the first line of each channel
    reg [COUNT_BITS-1:0] sent;

    reg [FRAME_BITS-1:0] delays[0:LINES-1];
    reg [FRAME_BITS-1:0] delay;
    generate if (DELAYS != "") begin : filled initial $readmemh(DELAYS, delays); end endgenerate
    always @(posedge clk) delay <= delays[line];

    wire [FRAME_BITS-1:0] next = now == LAST_FRAME ? 0 : now + 1'b1;
    wire [FRAME_BITS:0] back = {1'b0, now} + (now < delay ? ROUND : 0) - {1'b0, delay};
    wire [FRAME_BITS-1:0] past = back[FRAME_BITS-1:0];

    reg [COUNT_BITS-1:0] memory[0:(FRAMES<<IN_BITS)-1];
    reg [COUNT_BITS-1:0] count;
    wire clears = state == CLEAR || (state == DELAY && first);
    always @(posedge clk) begin
        count <= memory[{state == COUNT ? now : past, channel}];
        if (clears || state == ADD) memory[{state == DELAY ? next : now, channel}] <= clears ? 0 : count + {{(COUNT_BITS - 1) {1'b0}}, !(&count)};
    end

    wire passed = state == SEND && (count == 0 || (!out_full && sent + 1'b1 == count));
    assign in_ready = state == TAKE && !rst;
    assign out_push = (state == SEND && count != 0) || state == LAST;
    assign out_data = {state == LAST, line};

    always @(posedge clk)
        if (rst) begin
            state <= CLEAR;
            now <= 0;
            channel <= 0;
            line <= 0;
            first <= 1'b1;
            sent <= 0;
        end else
            case (state)
                CLEAR: begin
                    channel <= channel == LAST_CHANNEL ? 0 : channel + 1'b1;
                    if (channel == LAST_CHANNEL) now <= next;
                    if (channel == LAST_CHANNEL && now == LAST_FRAME) state <= TAKE;
                end
                TAKE:
                if (in_valid) begin
                    channel <= in_last ? 0 : in_addr;
                    if (in_last) state <= DELAY;
                    else if ({1'b0, in_addr} < CHANNEL_COUNT) state <= COUNT;  // a channel that is not there is no spike
                end
                COUNT: state <= ADD;
                ADD: state <= TAKE;
                DELAY: state <= FETCH;
                FETCH: state <= SEND;
                SEND: begin
                    if (out_push && !out_full) sent <= passed ? 0 : sent + 1'b1;
                    if (passed) begin
                        channel <= channel == LAST_CHANNEL ? 0 : channel + 1'b1;
                        if (channel == LAST_CHANNEL) first <= 1'b0;
                        line <= line == LAST_LINE ? 0 : line + 1'b1;
                        state <= line == LAST_LINE ? LAST : DELAY;
                    end
                end
                default:
                if (!out_full) begin
                    first <= 1'b1;
                    now <= next;
                    state <= TAKE;
                end
            endcase
endmodule
