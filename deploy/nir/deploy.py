"""Deploy a trained network as NIR graphs.

    python deploy/nir/deploy.py NET.net -o OUT [--frames frames.npy]

frames.npy: (B, T, C) spike counts. The same as ``lava-1m1t1r deploy nir``; prints the report, and writes it as JSON with --json FILE.
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
    parser.add_argument("--frames", help="fit the portable graph to these samples")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-portable", action="store_true", help="the exact graph only")
    parser.add_argument("--no-delays", action="store_true", help="leave the delays out of the portable graph")
    args = parser.parse_args()
    frames = None if args.frames is None else np.load(args.frames)
    try:
        report = TARGETS["nir"](args.net, args.out, frames=frames, portable=not args.no_portable, delays=not args.no_delays)
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
