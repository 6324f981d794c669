"""Deploy a trained network as NIR graphs.

    python deploy/nir/deploy.py NET.net -o OUT [--frames frames.npy]

frames.npy: (B, T, C) spike counts. The same as ``lava-1m1t1r deploy nir``; prints the report, and writes it as JSON with --json FILE.
"""

from lava_1m1t1r.export import script

arguments = script.parser("nir", __doc__, "fit the portable graph to these samples")
arguments.add_argument("--no-portable", dest="portable", action="store_false", help="the exact graph only")
arguments.add_argument("--no-delays", dest="delays", action="store_false", help="leave the delays out of the portable graph")

if __name__ == "__main__":
    raise SystemExit(script.main(arguments))
