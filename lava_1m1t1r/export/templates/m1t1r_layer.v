// The neurons of a layer, one after the other, on one core: reads a sum and a state, runs a network step, writes the state, and sends
// the number of each neuron whose spike, after its delay, is due in the next frame: to the layer after it, and to itself.
// Each sends a first, empty frame: the step that every spike takes. Cycles a frame: OUTPUTS * (5 + 43 * SUBSTEPS) + 1 (67 with noise).
/* verilator lint_off UNUSEDSIGNAL */  // upper and lower bits of products, sums and indices
module m1t1r_layer #(
    parameter OUTPUTS = 1,
    parameter OUT_BITS = 1,
    parameter LANES = 1,
    parameter WORD_BITS = 1,
    parameter SUM_BITS = 24,
    parameter RECURRENT = 0,
    parameter HISTORY = 1,       // steps for which spikes are remembered
    parameter EQUAL = 1,         // all neurons have the same constants
    parameter PLAIN = 1,         // all neurons have the same bias and delay
    parameter V_MAX = 39322,
    parameter NOISE = 0,
    parameter SUBSTEPS = 4,
    parameter FIELD_SHIFT = 6,
    parameter FIELD_TOP = 39322,
    parameter FIELD_ENTRIES = 615,
    parameter FIELD_BITS = 10,
    parameter CURVE_ENTRIES = 832,
    parameter DROP_ENTRIES = 65,
    parameter FIELD = "",
    parameter INVERSE = "",
    parameter CHARGE = "",
    parameter DROP = "",
    parameter ROOT = "",
    parameter CONSTANTS = "",
    parameter WIRING = "",
    parameter GENERATORS = ""
) (
    input  wire                      clk,
    input  wire                      rst,
    input  wire                      ready,
    output wire [WORD_BITS-1:0]      word,
    input  wire [LANES*SUM_BITS-1:0] sums,
    output wire                      clear,
    output wire                      resume,
    output wire                      out_push,
    output wire [OUT_BITS:0]         out_data,
    input  wire                      out_full,
    output wire                      rec_push,
    output wire [OUT_BITS:0]         rec_data
);
    localparam REST = 3'd0, READ = 3'd1, START = 3'd2, RUN = 3'd3, WRITE = 3'd4, LAST = 3'd5;
    /* verilator lint_off WIDTHTRUNC */
    localparam [OUT_BITS-1:0] LAST_OUTPUT = OUTPUTS - 1;
    /* verilator lint_on WIDTHTRUNC */
    localparam STATE_BITS = 70 + HISTORY + (NOISE != 0 ? 32 : 0);

    reg [2:0] state;
    reg [OUT_BITS-1:0] n;
    reg [STATE_BITS-1:0] memory[0:OUTPUTS-1];
    reg [STATE_BITS-1:0] held;

    // Constants, and what is the neuron's own: bias, delays
    reg [168:0] constants_memory[0:(EQUAL != 0 ? 1 : OUTPUTS)-1];
    reg [168:0] constants;
    reg [27:0] wiring_memory[0:(PLAIN != 0 ? 1 : OUTPUTS)-1];
    reg [27:0] wiring;
    generate if (CONSTANTS != "") begin : constant initial $readmemh(CONSTANTS, constants_memory); end endgenerate
    generate if (WIRING != "") begin : wired initial $readmemh(WIRING, wiring_memory); end endgenerate
    always @(posedge clk) begin
        constants <= constants_memory[EQUAL != 0 ? 0 : n];
        wiring <= wiring_memory[PLAIN != 0 ? 0 : n];
    end
    wire [15:0] bias = wiring[15:0];
    wire [5:0] delay = wiring[21:16];
    wire [5:0] delay_rec = wiring[27:22];

    // Input voltage
    wire [31:0] wide = {{(32 - OUT_BITS) {1'b0}}, n};
    wire [31:0] at = wide / LANES;  // LANES is a power of two
    wire [31:0] lane = wide % LANES;
    wire [SUM_BITS-1:0] sum = sums[lane*SUM_BITS+:SUM_BITS];
    wire signed [SUM_BITS:0] a_in = $signed({sum[SUM_BITS-1], sum}) + $signed({{(SUM_BITS - 15) {bias[15]}}, bias});
    localparam signed [SUM_BITS:0] V_TOP = V_MAX >> 6;
    localparam [16:0] V_CLIP = V_MAX;
    wire [16:0] v_now = a_in < 0 ? 17'd0 : a_in > V_TOP ? V_CLIP : {a_in[10:0], 6'd0};
    reg [16:0] v_in;
    always @(posedge clk) if (state == START) v_in <= v_now;
    reg begun;  // the neuron starts in the cycle after START, when v_in stands
    always @(posedge clk) begun <= state == START && !rst;

    wire done, spike;
    wire [69:0] new_state;
    wire [31:0] new_generator, generator, first_generator;
    m1t1r_neuron #(
        .NOISE(NOISE), .SUBSTEPS(SUBSTEPS), .FIELD_SHIFT(FIELD_SHIFT), .FIELD_TOP(FIELD_TOP), .FIELD_ENTRIES(FIELD_ENTRIES),
        .FIELD_BITS(FIELD_BITS), .CURVE_ENTRIES(CURVE_ENTRIES), .DROP_ENTRIES(DROP_ENTRIES),
        .FIELD(FIELD), .INVERSE(INVERSE), .CHARGE(CHARGE), .DROP(DROP), .ROOT(ROOT)
    ) neuron (clk, rst, begun, v_in, constants, held[69:0], generator, done, new_state, new_generator, spike);

    // What a neuron remembers: states, last spikes, generator
    wire [HISTORY-1:0] past = held[70+:HISTORY];
    wire [HISTORY:0] shifted = {past, spike};
    wire [HISTORY-1:0] history = shifted[HISTORY-1:0];
    wire [63:0] due = {{(64 - HISTORY) {1'b0}}, history};
    wire [STATE_BITS-1:0] rest_word, kept_word;
    generate
        if (NOISE != 0) begin : noise
            reg [31:0] generator_memory[0:OUTPUTS-1];
            reg [31:0] first;
            if (GENERATORS != "") begin : started initial $readmemh(GENERATORS, generator_memory); end
            always @(posedge clk) first <= generator_memory[n];
            assign first_generator = first;
            assign generator = held[STATE_BITS-1-:32];
            assign rest_word = {first_generator, {HISTORY{1'b0}}, 70'd0};
            assign kept_word = {new_generator, history, new_state};
        end else begin : quiet
            assign first_generator = 32'd0;
            assign generator = 32'd0;
            assign rest_word = {STATE_BITS{1'b0}};
            assign kept_word = {history, new_state};
        end
    endgenerate

    wire sends = state == WRITE && due[delay];
    wire waits = out_push && out_full;
    wire written = state == WRITE && !waits;
    reg settled;  // REST: first_generator is that of n
    reg ran;      // not the first, empty frame
    assign out_push = sends || state == LAST;
    assign out_data = {state == LAST, n};
    assign rec_push = RECURRENT != 0 && ((written && due[delay_rec]) || (state == LAST && !waits));
    assign rec_data = out_data;
    assign word     = at[WORD_BITS-1:0];
    assign clear    = state == START && (n == LAST_OUTPUT || lane == LANES - 1);
    assign resume   = state == LAST && !waits && ran;

    always @(posedge clk) begin
        held <= memory[n];
        if (state == REST && settled) memory[n] <= rest_word;
        else if (written) memory[n] <= kept_word;
    end

    always @(posedge clk)
        if (rst) begin
            state <= REST;
            n <= 0;
            settled <= 1'b0;
            ran <= 1'b0;
        end else
            case (state)
                REST: begin
                    settled <= !settled;
                    if (settled) begin
                        n <= n == LAST_OUTPUT ? 0 : n + 1'b1;
                        if (n == LAST_OUTPUT) state <= LAST;
                    end
                end
                READ: if (ready) state <= START;
                START: begin
                    ran <= 1'b1;
                    state <= RUN;
                end
                RUN: if (done) state <= WRITE;
                WRITE:
                if (!waits) begin
                    n <= n == LAST_OUTPUT ? 0 : n + 1'b1;
                    state <= n == LAST_OUTPUT ? LAST : READ;
                end
                default: if (!waits) state <= READ;
            endcase
endmodule
