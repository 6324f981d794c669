// A readout: the weighted sums of a frame, one after the other, then a token with the upper bit set.
/* verilator lint_off UNUSEDSIGNAL */  // upper and lower bits of products, sums and indices
module m1t1r_readout #(
    parameter OUTPUTS = 1,
    parameter OUT_BITS = 1,
    parameter LANES = 1,
    parameter WORD_BITS = 1,
    parameter SUM_BITS = 24
) (
    input  wire                      clk,
    input  wire                      rst,
    input  wire                      ready,
    output wire [WORD_BITS-1:0]      word,
    input  wire [LANES*SUM_BITS-1:0] sums,
    output wire                      clear,
    output wire                      resume,
    output wire                      out_push,
    output wire [SUM_BITS:0]         out_data,
    input  wire                      out_full
);
    localparam READ = 2'd0, SEND = 2'd1, LAST = 2'd2;
    /* verilator lint_off WIDTHTRUNC */
    localparam [OUT_BITS-1:0] LAST_OUTPUT = OUTPUTS - 1;
    /* verilator lint_on WIDTHTRUNC */

    reg [1:0] state;
    reg [OUT_BITS-1:0] n;
    wire [31:0] wide = {{(32 - OUT_BITS) {1'b0}}, n};
    wire [31:0] at = wide / LANES;
    wire [31:0] lane = wide % LANES;
    wire sent = out_push && !out_full;

    assign word     = at[WORD_BITS-1:0];
    assign out_push = state == SEND || state == LAST;
    assign out_data = {state == LAST, state == LAST ? {SUM_BITS{1'b0}} : sums[lane*SUM_BITS+:SUM_BITS]};
    assign clear    = state == SEND && sent && (n == LAST_OUTPUT || lane == LANES - 1);
    assign resume   = state == LAST && sent;

    always @(posedge clk)
        if (rst) begin
            state <= READ;
            n <= 0;
        end else
            case (state)
                READ: if (ready) state <= SEND;
                SEND:
                if (sent) begin
                    n <= n == LAST_OUTPUT ? 0 : n + 1'b1;
                    state <= n == LAST_OUTPUT ? LAST : READ;
                end
                default: if (sent) state <= READ;
            endcase
endmodule
