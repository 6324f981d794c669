// Table over the gap: 64 knots an octave. Entry: exponent (8 bits, signed), base (24), step to the next knot (25, signed).
module m1t1r_curve #(
    parameter ENTRIES = 832,
    parameter FILE = ""
) (
    input  wire               clk,
    input  wire [ 9:0]        knot,
    output reg signed [ 7:0]  exponent,
    output reg        [23:0]  base,
    output reg signed [24:0]  step
);
    reg [56:0] memory[0:ENTRIES-1];
    generate if (FILE != "") begin : filled initial $readmemh(FILE, memory); end endgenerate
    always @(posedge clk) {exponent, base, step} <= memory[knot];
endmodule
