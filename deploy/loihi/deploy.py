"""Deploy a network Loihi-style: netx file, resource report, hand-off pack.

    python deploy/loihi/deploy.py NET.net -o OUT [--frames frames.npy]

frames.npy: (B, T, C) spike counts. The same as ``lava-1m1t1r deploy loihi``; prints the report, and writes it as JSON with --json FILE.
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
    parser.add_argument("--frames", help="stimulus of the golden traces")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chips", type=int, default=1)
    args = parser.parse_args()
    frames = None if args.frames is None else np.load(args.frames)
    try:
        report = TARGETS["loihi"](args.net, args.out, frames=frames, chips=args.chips)
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
