"""Deploy a trained network as synthesizable Verilog.

    python deploy/rtl/deploy.py NET.net -o OUT [--frames frames.npy]

frames.npy: (B, T, C) spike counts. The same as ``lava-1m1t1r deploy rtl``; prints the report, and writes it as JSON with --json FILE.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from lava_1m1t1r.errors import InputError, MissingDependencyError
from lava_1m1t1r.export import TARGETS, VerificationError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net")
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--frames", help="simulate these samples and compare before writing")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--name", default="net", help="top module")
    parser.add_argument("--lanes", type=int, default=4, help="weights added in a clock cycle")
    parser.add_argument("--clock", type=float, default=100e6, help="[Hz]")
    parser.add_argument("--simulator", default="verilator", choices=("verilator", "icarus"))
    parser.add_argument("--synthesise", action="store_true", help="count cells with Yosys")
    args = parser.parse_args()
    frames = None if args.frames is None else np.load(args.frames)
    try:
        report = TARGETS["rtl"](
            args.net,
            args.out,
            frames=frames,
            name=args.name,
            lanes=args.lanes,
            clock_hz=args.clock,
            simulator=args.simulator,
            synthesise=args.synthesise,
        )
    except (InputError, MissingDependencyError) as error:
        print(error, file=sys.stderr)
        return 2
    except VerificationError as error:
        print(error, file=sys.stderr)
        return 1
    print(report.text)
    if args.json:
        args.json.write_text(json.dumps(report.as_dict(), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
