"""Deploy a network Loihi-style: netx file, resource report, hand-off pack.

    python deploy/loihi/deploy.py NET.net -o OUT [--frames frames.npy]

frames.npy: (B, T, C) spike counts. The same as ``lava-1m1t1r deploy loihi``; prints the report, and writes it as JSON with --json FILE.
"""

from lava_1m1t1r.export import script

arguments = script.parser("loihi", __doc__, "stimulus of the golden traces")
arguments.add_argument("--chips", type=int, default=1)

if __name__ == "__main__":
    raise SystemExit(script.main(arguments))
