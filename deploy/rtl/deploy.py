"""Deploy a trained network as synthesizable Verilog.

    python deploy/rtl/deploy.py NET.net -o OUT [--frames frames.npy]

frames.npy: (B, T, C) spike counts. The same as ``lava-1m1t1r deploy rtl``; prints the report, and writes it as JSON with --json FILE.
"""

from lava_1m1t1r.export import script

arguments = script.parser("rtl", __doc__, "simulate these samples and compare before writing")
arguments.add_argument("--name", default="net", help="top module")
arguments.add_argument("--lanes", type=int, default=4, help="weights added in a clock cycle")
arguments.add_argument("--clock", dest="clock_hz", type=float, default=100e6, help="[Hz]")
arguments.add_argument("--simulator", default="verilator", choices=("verilator", "icarus"))
arguments.add_argument("--synthesise", action="store_true", help="count cells with Yosys")

if __name__ == "__main__":
    raise SystemExit(script.main(arguments))
