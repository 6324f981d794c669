// First in, first out. pop_data is valid in the cycle after pop.
module m1t1r_fifo #(
    parameter WIDTH = 8,
    parameter LOG_DEPTH = 4
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             push,
    input  wire [WIDTH-1:0] push_data,
    output wire             full,
    input  wire             pop,
    output reg  [WIDTH-1:0] pop_data,
    output wire             empty
);
    reg [WIDTH-1:0] memory[0:(1<<LOG_DEPTH)-1];
    reg [LOG_DEPTH:0] head, tail;  // one bit more than an address tells full from empty

    assign empty = head == tail;
    assign full  = head == {~tail[LOG_DEPTH], tail[LOG_DEPTH-1:0]};

    always @(posedge clk) begin
        if (push && !full) memory[head[LOG_DEPTH-1:0]] <= push_data;
        pop_data <= memory[tail[LOG_DEPTH-1:0]];
    end

    always @(posedge clk)
        if (rst) begin
            head <= 0;
            tail <= 0;
        end else begin
            if (push && !full) head <= head + 1'b1;
            if (pop && !empty) tail <= tail + 1'b1;
        end
endmodule
