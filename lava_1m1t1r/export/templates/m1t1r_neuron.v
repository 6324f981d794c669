// One network step of one neuron: SUBSTEPS times the fixed-point substep of lava_1m1t1r, bit for bit.
// One multiplier and one shifter serve all products in turn: 34 cycles a substep, with noise 52.
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
    // The schedule: a product asked for in cycle k is in p in cycle k + 2, as is a table's entry.
    localparam [5:0] IDLE = 6'd63, JITTER = 6'd40;

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
    reg [23:0] gate, drained, target, charged;
    reg [24:0] grown_filament, grown_residue;
    reg [24:0] early;
    reg [17:0] u;
    reg [18:0] drive;
    reg [5:0] growth_by;
    reg [15:0] fraction;
    reg [31:0] drawn;
    reg fired;

    // Multiplier
    reg signed [26:0] a;
    reg signed [21:0] b;
    reg signed [48:0] p;
    always @(posedge clk) p <= a * b;

    // Shifter: p >> by, decays rounded up
    reg [5:0] by;
    reg up;
    always @* begin
        up = 1'b0;
        case (cycle)
            6'd2, 6'd9, 6'd16, 6'd26, 6'd28: by = 6'd16;
            6'd3: {up, by} = {2'b10, filament_shift};
            6'd4: {up, by} = {2'b10, residue_shift};
            6'd5, 6'd21: by = {1'b0, transfer_shift};
            6'd6: by = FIELD_SHIFT;
            6'd8: by = 6'd15;
            6'd11, 6'd18: by = growth_by;
            6'd12, 6'd33: {up, by} = {2'b10, gate_shift};
            6'd30: by = 6'd20;
            6'd44: by = 6'd16;
            default: by = 6'd10;  // noise
        endcase
    end
    wire signed [48:0] rounding = up ? (49'sd1 <<< by) - 49'sd1 : 49'sd0;
    wire signed [48:0] raised_p = p + rounding;
    wire signed [48:0] q = raised_p >>> by;
    wire [23:0] lost = q[23:0];

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
    wire [24:0] growth = q > $signed({24'd0, GROWTH_MAX}) ? GROWTH_MAX : q[24:0];
    wire [24:0] predicted = {2'd0, kept} + early + {2'd0, residue_kept} + {2'd0, trans};
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
    wire signed [9:0] by_exponents = {{2{growth_shift[7]}}, growth_shift} - {{2{field_exponent[7]}}, field_exponent}
                                     - {{2{inverse_exponent[7]}}, inverse_exponent};
    wire [5:0] growth_shift_now = by_exponents < 10'sd8 ? 6'd8 : by_exponents > 10'sd47 ? 6'd47 : by_exponents[5:0];
    wire [24:0] jittered = second ? grown_residue : grown_filament;
    wire [24:0] previous = {2'd0, second ? residue : filament};
    wire [24:0] change = jittered < previous ? previous - jittered : jittered - previous;
    wire signed [26:0] moved = $signed({2'd0, jittered}) + $signed(q[26:0]);
    wire [31:0] draw1 = new_generator ^ (new_generator << 13);  // xorshift
    wire [31:0] draw2 = draw1 ^ (draw1 >> 17);
    wire [31:0] draw3 = draw2 ^ (draw2 << 5);
    wire [9:0] bytes = {2'd0, drawn[7:0]} + {2'd0, drawn[15:8]} + {2'd0, drawn[23:16]} + {2'd0, drawn[31:24]};

    assign done = cycle == 6'd34;
    assign new_state = {gate, residue, filament};

    always @(posedge clk)
        if (rst) cycle <= IDLE;
        else
            case (cycle)
                IDLE: if (start) cycle <= 6'd0;
                6'd21: cycle <= NOISE != 0 ? JITTER : 6'd22;
                6'd48: cycle <= second ? 6'd22 : JITTER;
                6'd33: cycle <= substep == LAST_SUBSTEP ? 6'd34 : 6'd0;
                6'd34: cycle <= IDLE;
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
                a <= {4'd0, filament};
                b <= {10'd0, filament_decay};
            end
            6'd2: begin
                u <= q > $signed({31'd0, TOP}) ? TOP : q[17:0];
                a <= {4'd0, residue};
                b <= {10'd0, residue_decay};
            end
            6'd3: begin
                kept <= filament - lost[22:0];
                a <= {4'd0, filament};
                b <= {10'd0, transfer};
            end
            6'd4: begin
                residue_kept <= residue - lost[22:0];
                a <= {{2{field_step[24]}}, field_step};
                b <= {4'd0, u & FIELD_MASK};
                gap <= ONE - (filament + residue);
            end
            6'd5: begin
                trans <= q[22:0];
                fraction <= w4[15:0];
            end
            6'd6: begin
                a <= {3'd0, field_base + lost};
                b <= {6'd0, gain};
            end
            6'd7: begin
                a <= {{2{inverse_step[24]}}, inverse_step};
                b <= {6'd0, fraction};
            end
            6'd8: drive <= q[18:0];
            6'd9: begin
                a <= {8'd0, drive};
                b <= inverse_base[21:0] + lost[21:0];
                growth_by <= growth_shift_now;
            end
            6'd10: begin
                a <= {3'd0, gate};
                b <= {10'd0, gate_decay};
            end
            6'd11: early <= growth;
            6'd12: begin
                gap <= predicted < {2'd0, ONE} ? ONE - predicted[22:0] : 23'd0;
                drained <= gate - lost;
            end
            6'd13: fraction <= w4[15:0];
            6'd14: begin
                a <= {{2{inverse_step[24]}}, inverse_step};
                b <= {6'd0, fraction};
            end
            6'd16: begin
                a <= {8'd0, drive};
                b <= inverse_base[21:0] + lost[21:0];
                growth_by <= growth_shift_now;
            end
            6'd18: grown_filament <= {2'd0, kept} + mean_growth;
            6'd19: begin
                a <= {4'd0, sum_filament[23:1]};
                b <= {10'd0, transfer};
            end
            6'd21: grown_residue <= {2'd0, residue_kept} + q[24:0];
            6'd22: settled_residue <= capped_residue;
            6'd23: settled_filament <= capped_filament < room ? capped_filament : room;
            6'd24: begin
                a <= {{2{drop_step[24]}}, drop_step};
                b <= {6'd0, settled_residue[15:0]};
                gap <= shut ? 23'd0 : ONE - mean_length[22:0];
            end
            6'd25: fraction <= w4[15:0];
            6'd26: begin
                target <= falls ? drained - raised : way[25] ? 24'd0 : way[23:0];
                a <= {{2{charge_step[24]}}, charge_step};
                b <= {6'd0, fraction};
            end
            6'd28: begin
                a <= {3'd0, target};
                b <= charge_base[21:0] + lost[21:0];
            end
            6'd30: charged <= falls ? drained - lost : drained + lost;
            6'd31: begin
                a <= {3'd0, charged};
                b <= {10'd0, gate_decay};
                fired <= charged > v_th && gate <= v_th;
            end
            6'd33: begin
                filament <= settled_filament;
                residue <= settled_residue;
                gate <= charged - lost;
                spike <= spike | fired;
                substep <= substep + 7'd1;
            end
            // Noise of filament, then residue
            6'd40: begin
                gap <= change > {2'd0, ONE} ? ONE : change[22:0];
                drawn <= draw3;
                new_generator <= draw3;
            end
            6'd41: fraction <= w4[15:0];
            6'd42: begin
                a <= {{2{root_step[24]}}, root_step};
                b <= {6'd0, fraction};
            end
            6'd44: begin
                a <= {3'd0, root_base + lost};
                b <= {4'd0, second ? noise_residue : noise_filament};
            end
            6'd46: begin
                a <= q[26:0];
                b <= {12'd0, bytes} - 22'd510;
            end
            6'd48: begin
                if (second) grown_residue <= moved[26] ? 25'd0 : moved[24:0];
                else grown_filament <= moved[26] ? 25'd0 : moved[24:0];
                second <= 1'b1;
            end
            default: ;
        endcase
    end
endmodule
