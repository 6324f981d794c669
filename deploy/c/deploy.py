"""Deploy a trained network as freestanding C99.

    python deploy/c/deploy.py NET.net -o OUT [--frames frames.npy]

frames.npy: (B, T, C) spike counts. The same as ``lava-1m1t1r deploy c``; prints the report, and writes it as JSON with --json FILE.
"""

from lava_1m1t1r.export import script

arguments = script.parser("c", __doc__, "compile, run on these samples and compare before writing")
arguments.add_argument("--name", default="net", help="prefix of the C names")
arguments.add_argument("--flash-limit", type=int, help="bytes that the constants may take")
arguments.add_argument("--ram-limit", type=int, help="bytes that the states may take")

if __name__ == "__main__":
    raise SystemExit(script.main(arguments))
