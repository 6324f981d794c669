// One network step of one neuron: SUBSTEPS times the fixed-point substep of lava_1m1t1r, bit for bit.
// One multiplier and one shifter serve all products in turn: 43 cycles a substep, with noise 67.
/* verilator lint_off UNUSEDSIGNAL */  // upper and lower bits of products, sums and indices
module m1t1r_neuron #(
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
    parameter ROOT = ""
) (
    input  wire         clk,
    input  wire         rst,
    input  wire         start,
    input  wire [ 16:0] v_in,
    input  wire [168:0] constants,  // held until done
    input  wire [ 69:0] state,      // gate, residue, filament
    input  wire [ 31:0] generator,
    output wire         done,       // for one cycle; then the results stand until the next start
    output wire [ 69:0] new_state,
    output reg  [ 31:0] new_generator,
    output reg          spike
);
    localparam [22:0] ONE = 23'h400000;
    localparam [24:0] GROWTH_MAX = 25'h800000;
    localparam [17:0] TOP = FIELD_TOP;  // below 2^18: an input of 17 bits, stretched up to twice
    localparam [17:0] FIELD_MASK = (1 << FIELD_SHIFT) - 1;
    localparam [6:0] LAST_SUBSTEP = SUBSTEPS - 1;
    // The schedule: a product asked for in cycle k is in p in cycle k + 2 and, shifted, in q in cycle k + 3; a table's entry whose place is
    // set in cycle k is there in cycle k + 2.
    localparam [5:0] DONE = 6'd43, JITTER = 6'd50, IDLE = 6'd63;

    wire [17:0] noise_residue, noise_filament;
    wire [23:0] v_th;
    wire [4:0] gate_shift, transfer_shift, residue_shift, filament_shift;
    wire [11:0] gate_decay, transfer, residue_decay, filament_decay;
    wire signed [7:0] growth_shift;
    wire [15:0] gain;
    wire [16:0] stretch;
    assign {noise_residue, noise_filament, v_th, gate_shift, gate_decay, transfer_shift, transfer, residue_shift, residue_decay,
            filament_shift, filament_decay, growth_shift, gain, stretch} = constants;

    reg [5:0] cycle;
    reg [6:0] substep;
    reg second;  // noise: the residue's turn
    reg [22:0] filament, residue, kept, residue_kept, trans, settled_residue, settled_filament, gap;
    reg [24:0] relaxed;
    reg [21:0] inverse_now;
    reg [23:0] gate, drained, target, charged;
    reg [24:0] grown_filament, grown_residue;
    reg [24:0] early;
    reg [17:0] u;
    reg [18:0] drive;
    reg signed [8:0] field_by;
    reg signed [9:0] exponents;
    reg [5:0] growth_by;
    reg [15:0] fraction;
    reg [31:0] drawn;
    reg fired;

    // Multiplier
    reg signed [26:0] a;
    reg signed [21:0] b;
    reg signed [48:0] p;
    always @(posedge clk) p <= a * b;

    // Shifter. What decays lose is rounded up: they ask for the product with the sign changed, which rounds down.
    reg [5:0] by;
    always @*
        case (cycle)
            6'd3: by = {1'b0, filament_shift};
            6'd4: by = {1'b0, residue_shift};
            6'd5, 6'd26: by = {1'b0, transfer_shift};
            6'd7: by = FIELD_SHIFT;
            6'd9, 6'd41: by = {1'b0, gate_shift};
            6'd10: by = 6'd15;
            6'd13, 6'd22: by = growth_by;
            6'd37: by = 6'd20;
            6'd57, 6'd60: by = 6'd10;  // noise
            default: by = 6'd16;
        endcase
    reg signed [48:0] q;
    always @(posedge clk) q <= p >>> by;
    wire [23:0] lost = q[23:0];  // negative where a decay has lost it

    // Tables
    wire signed [7:0] field_exponent, inverse_exponent;
    wire [23:0] field_base, inverse_base, charge_base, drop_base, root_base;
    wire signed [24:0] field_step, inverse_step, charge_step, drop_step, root_step;
    reg [56:0] field_table[0:FIELD_ENTRIES-1];
    reg [56:0] field_entry;
    generate if (FIELD != "") begin : fields initial $readmemh(FIELD, field_table); end endgenerate
    always @(posedge clk) field_entry <= field_table[u[FIELD_SHIFT+:FIELD_BITS]];
    assign {field_exponent, field_base, field_step} = field_entry;

    // Place of a gap: leading one to bit 22, octave, knot
    wire [22:0] w0 = gap + 23'd1024;
    wire [22:0] w1 = w0 < 23'h008000 ? w0 << 8 : w0;
    wire [22:0] w2 = w1 < 23'h080000 ? w1 << 4 : w1;
    wire [22:0] w3 = w2 < 23'h200000 ? w2 << 2 : w2;
    wire [22:0] w4 = w3 < 23'h400000 ? w3 << 1 : w3;
    wire [3:0] octave = 4'd12 - {w0 < 23'h008000, w1 < 23'h080000, w2 < 23'h200000, w3 < 23'h400000};
    wire [9:0] knot = {octave, w4[21:16]};
    wire [7:0] unused_charge, unused_root;
    m1t1r_curve #(.ENTRIES(CURVE_ENTRIES), .FILE(INVERSE)) inverse (clk, knot, inverse_exponent, inverse_base, inverse_step);
    m1t1r_curve #(.ENTRIES(CURVE_ENTRIES), .FILE(CHARGE)) charge (clk, knot, unused_charge, charge_base, charge_step);
    generate
        if (NOISE != 0) begin : noise
            m1t1r_curve #(.ENTRIES(CURVE_ENTRIES), .FILE(ROOT)) root (clk, knot, unused_root, root_base, root_step);
        end else begin : quiet
            assign {unused_root, root_base, root_step} = 57'd0;
        end
    endgenerate
    reg [56:0] drop_table[0:DROP_ENTRIES-1];
    reg [56:0] drop_entry;
    generate if (DROP != "") begin : drops initial $readmemh(DROP, drop_table); end endgenerate
    always @(posedge clk) drop_entry <= drop_table[settled_residue[22:16]];
    wire [7:0] unused_drop;
    assign {unused_drop, drop_base, drop_step} = drop_entry;

    // What the schedule's lines are made of
    wire [23:0] raised = {1'b0, v_in, 6'd0};
    wire [23:0] distance = raised - gate;
    wire [24:0] growth = q[47:23] != 25'd0 ? GROWTH_MAX : q[24:0];  // GROWTH_MAX is 2^23
    wire [24:0] predicted = relaxed + early;
    wire [24:0] mean_growth = (early + growth) >> 1;
    wire [22:0] capped_filament = grown_filament > {2'd0, ONE} ? ONE : grown_filament[22:0];
    wire [22:0] capped_residue = grown_residue > {2'd0, ONE} ? ONE : grown_residue[22:0];
    wire [23:0] sum_filament = {1'b0, filament} + {1'b0, capped_filament};
    wire [22:0] room = ONE - settled_residue;
    wire shut = settled_filament + settled_residue >= ONE;
    wire [23:0] released = shut ? drop_base + lost : 24'd0;
    wire falls = drained > raised;
    wire signed [25:0] way = $signed({2'd0, raised}) - $signed({2'd0, released}) - $signed({2'd0, drained});
    wire [23:0] mean_length = ({1'b0, filament} + {1'b0, residue} + {1'b0, settled_filament} + {1'b0, settled_residue}) >> 1;
    wire [5:0] growth_shift_now = exponents < 10'sd8 ? 6'd8 : exponents > 10'sd47 ? 6'd47 : exponents[5:0];
    wire [24:0] jittered = second ? grown_residue : grown_filament;
    wire [24:0] previous = {2'd0, second ? residue : filament};
    wire [24:0] change = jittered < previous ? previous - jittered : jittered - previous;
    wire signed [26:0] moved = $signed({2'd0, jittered}) + $signed(q[26:0]);
    wire [31:0] draw1 = new_generator ^ (new_generator << 13);  // xorshift
    wire [31:0] draw2 = draw1 ^ (draw1 >> 17);
    wire [31:0] draw3 = draw2 ^ (draw2 << 5);
    wire [9:0] bytes = {2'd0, drawn[7:0]} + {2'd0, drawn[15:8]} + {2'd0, drawn[23:16]} + {2'd0, drawn[31:24]};

    assign done = cycle == DONE;
    assign new_state = {gate, residue, filament};

    always @(posedge clk)
        if (rst) cycle <= IDLE;
        else
            case (cycle)
                IDLE: if (start) cycle <= 6'd0;
                6'd27: cycle <= NOISE != 0 ? JITTER : 6'd28;
                6'd61: cycle <= second ? 6'd28 : JITTER;
                6'd42: cycle <= substep == LAST_SUBSTEP ? DONE : 6'd0;
                DONE: cycle <= IDLE;
                default: cycle <= cycle + 6'd1;
            endcase

    always @(posedge clk) begin
        case (cycle)
            IDLE: if (start) begin
                {gate, residue, filament} <= state;
                new_generator <= generator;
                spike <= 1'b0;
                substep <= 7'd0;
            end
            6'd0: begin
                a <= raised > gate ? {10'd0, distance[22:6]} : 27'd0;
                b <= {5'd0, stretch};
                second <= 1'b0;
            end
            6'd1: begin
                a <= -{4'd0, filament};
                b <= {10'd0, filament_decay};
                gap <= ONE - (filament + residue);
            end
            6'd2: begin
                a <= -{4'd0, residue};
                b <= {10'd0, residue_decay};
                fraction <= w4[15:0];
            end
            6'd3: begin
                u <= q[17:0] > TOP ? TOP : q[17:0];
                a <= {4'd0, filament};
                b <= {10'd0, transfer};
            end
            6'd4: begin
                kept <= filament + lost[22:0];
                a <= {{2{inverse_step[24]}}, inverse_step};
                b <= {6'd0, fraction};
            end
            6'd5: begin
                residue_kept <= residue + lost[22:0];
                a <= {{2{field_step[24]}}, field_step};
                b <= {4'd0, u & FIELD_MASK};
            end
            6'd6: begin
                trans <= q[22:0];
                field_by <= {growth_shift[7], growth_shift} - {field_exponent[7], field_exponent};
            end
            6'd7: begin
                inverse_now <= inverse_base[21:0] + lost[21:0];
                relaxed <= {2'd0, kept} + {2'd0, residue_kept} + {2'd0, trans};
                a <= -{3'd0, gate};
                b <= {10'd0, gate_decay};
            end
            6'd8: begin
                a <= {3'd0, field_base + lost};
                b <= {6'd0, gain};
            end
            6'd9, 6'd18: exponents <= {field_by[8], field_by} - {{2{inverse_exponent[7]}}, inverse_exponent};
            6'd10: begin
                drained <= gate + lost;
                growth_by <= growth_shift_now;
            end
            6'd11: begin
                drive <= q[18:0];
                a <= {8'd0, q[18:0]};
                b <= inverse_now;
            end
            6'd14: early <= growth;
            6'd15: gap <= predicted < {2'd0, ONE} ? ONE - predicted[22:0] : 23'd0;
            6'd16: fraction <= w4[15:0];
            6'd17: begin
                a <= {{2{inverse_step[24]}}, inverse_step};
                b <= {6'd0, fraction};
            end
            6'd20: begin
                a <= {8'd0, drive};
                b <= inverse_base[21:0] + lost[21:0];
                growth_by <= growth_shift_now;
            end
            6'd23: grown_filament <= {2'd0, kept} + mean_growth;
            6'd24: begin
                a <= {4'd0, sum_filament[23:1]};
                b <= {10'd0, transfer};
            end
            6'd27: grown_residue <= {2'd0, residue_kept} + q[24:0];
            6'd28: settled_residue <= capped_residue;
            6'd29: settled_filament <= capped_filament < room ? capped_filament : room;
            6'd30: begin
                a <= {{2{drop_step[24]}}, drop_step};
                b <= {6'd0, settled_residue[15:0]};
                gap <= shut ? 23'd0 : ONE - mean_length[22:0];
            end
            6'd31: fraction <= w4[15:0];
            6'd32: begin
                a <= {{2{charge_step[24]}}, charge_step};
                b <= {6'd0, fraction};
            end
            6'd33: target <= falls ? drained - raised : way[25] ? 24'd0 : way[23:0];
            6'd35: begin
                a <= {3'd0, target};
                b <= charge_base[21:0] + lost[21:0];
            end
            6'd38: charged <= falls ? drained - lost : drained + lost;
            6'd39: begin
                a <= -{3'd0, charged};
                b <= {10'd0, gate_decay};
                fired <= charged > v_th && gate <= v_th;
            end
            6'd42: begin
                filament <= settled_filament;
                residue <= settled_residue;
                gate <= charged + lost;
                spike <= spike | fired;
                substep <= substep + 7'd1;
            end
            // Noise of filament, then residue
            6'd50: begin
                gap <= change > {2'd0, ONE} ? ONE : change[22:0];
                drawn <= draw3;
                new_generator <= draw3;
            end
            6'd51: fraction <= w4[15:0];
            6'd52: begin
                a <= {{2{root_step[24]}}, root_step};
                b <= {6'd0, fraction};
            end
            6'd55: begin
                a <= {3'd0, root_base + lost};
                b <= {4'd0, second ? noise_residue : noise_filament};
            end
            6'd58: begin
                a <= q[26:0];
                b <= {12'd0, bytes} - 22'd510;
            end
            6'd61: begin
                if (second) grown_residue <= moved[26] ? 25'd0 : moved[24:0];
                else grown_filament <= moved[26] ? 25'd0 : moved[24:0];
                second <= 1'b1;
            end
            default: ;
        endcase
    end
endmodule
