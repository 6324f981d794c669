// Weighted sums of a frame: for every spike that arrives, its row of weights is added, LANES a cycle.
// A frame ends with a token whose upper bit is set, from the layer before and from the layer itself. Cycles: WORDS + 2 a spike, 2 a frame's end.
/* verilator lint_off UNUSEDSIGNAL */  // upper and lower bits of products, sums and indices
module m1t1r_weigh #(
    parameter INPUTS = 1,
    parameter IN_BITS = 1,
    parameter OUT_BITS = 1,
    parameter LANES = 1,
    parameter WORDS = 1,       // ceil(outputs / LANES)
    parameter WORD_BITS = 1,
    parameter ROWS = 1,        // inputs, and outputs where recurrent
    parameter ADDRESS_BITS = 1,
    parameter RECURRENT = 0,
    parameter SINGLE = 0,      // input n alone feeds neuron n, with SINGLE_WEIGHT
    parameter SINGLE_WEIGHT = 0,
    parameter WEIGHT_SHIFT = 1,
    parameter REC_SHIFT = 1,
    parameter SUM_BITS = 24,
    parameter WEIGHTS = ""
) (
    input  wire                      clk,
    input  wire                      rst,
    input  wire                      in_empty,
    input  wire [IN_BITS:0]          in_data,
    output wire                      in_pop,
    input  wire                      rec_empty,
    input  wire [OUT_BITS:0]         rec_data,
    output wire                      rec_pop,
    output wire                      ready,  // all spikes of the frame are in: sums may be read, and must be cleared
    input  wire [WORD_BITS-1:0]      word,
    output wire [LANES*SUM_BITS-1:0] sums,   // of the word asked for in the cycle before
    input  wire                      clear,
    input  wire                      resume
);
    localparam CLEAR = 3'd0, FETCH = 3'd1, DECODE = 3'd2, ADD = 3'd3, READY = 3'd4;
    /* verilator lint_off WIDTHTRUNC */
    localparam [WORD_BITS-1:0] LAST_WORD = WORDS - 1;
    /* verilator lint_on WIDTHTRUNC */

    reg [LANES*SUM_BITS-1:0] sum_memory[0:WORDS-1];
    reg [2:0] state;
    reg own;  // the recurrent spikes' turn
    reg [WORD_BITS-1:0] at, added;
    reg [ADDRESS_BITS-1:0] address;
    reg adding;
    wire [LANES*8-1:0] weight;
    reg [LANES*SUM_BITS-1:0] sum;
    wire [LANES*SUM_BITS-1:0] total;
    wire last = own ? rec_data[OUT_BITS] : in_data[IN_BITS];
    wire [31:0] row = own ? INPUTS + {{(32 - OUT_BITS) {1'b0}}, rec_data[OUT_BITS-1:0]} : {{(32 - IN_BITS) {1'b0}}, in_data[IN_BITS-1:0]};
    wire [31:0] start = row * WORDS;
    wire known = own || row < INPUTS;  // a channel that is not there is no spike

    generate
        if (SINGLE != 0) begin : one
            localparam [7:0] WEIGHT = SINGLE_WEIGHT;
            assign weight = {LANES{WEIGHT}};
        end else begin : rows
            reg [LANES*8-1:0] memory[0:ROWS*WORDS-1];
            reg [LANES*8-1:0] entry;
            if (WEIGHTS != "") begin : filled initial $readmemh(WEIGHTS, memory); end
            always @(posedge clk) entry <= memory[address];
            assign weight = entry;
        end
    endgenerate

    assign in_pop  = state == FETCH && !own && !in_empty;
    assign rec_pop = state == FETCH && own && !rec_empty;
    assign ready   = state == READY;
    assign sums    = sum;

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : lane
            wire [SUM_BITS-1:0] w = {{(SUM_BITS - 8) {weight[8*l+7]}}, weight[8*l+:8]};
            assign total[SUM_BITS*l+:SUM_BITS] = sum[SUM_BITS*l+:SUM_BITS] + (own ? w << REC_SHIFT : w << WEIGHT_SHIFT);
        end
    endgenerate

    always @(posedge clk) begin
        sum <= sum_memory[state == READY ? word : at];
        if (state == CLEAR) sum_memory[at] <= 0;
        else if (state == READY && clear) sum_memory[word] <= 0;
        else if (adding) sum_memory[added] <= total;
    end

    always @(posedge clk)
        if (rst) begin
            state <= CLEAR;
            at <= 0;
            own <= 1'b0;
            adding <= 1'b0;
            added <= 0;
            address <= 0;
        end else begin
            adding <= state == ADD;
            added <= at;
            case (state)
                CLEAR: begin
                    at <= at + 1'b1;
                    if (at == LAST_WORD) state <= FETCH;
                end
                FETCH: if (in_pop || rec_pop) state <= DECODE;
                DECODE: begin
                    at <= SINGLE != 0 ? row[WORD_BITS-1:0] : 0;
                    address <= SINGLE != 0 ? 0 : start[ADDRESS_BITS-1:0];
                    state <= !last ? (known ? ADD : FETCH) : RECURRENT != 0 && !own ? FETCH : READY;
                    if (last) own <= RECURRENT != 0 && !own;
                end
                ADD: begin
                    at <= at + 1'b1;
                    address <= address + 1'b1;
                    if (SINGLE != 0 || at == LAST_WORD) state <= FETCH;
                end
                default: if (resume) state <= FETCH;
            endcase
        end
endmodule
