"""Deploy a trained network as NIR graphs.

    python deploy/nir/deploy.py NET.net -o OUT [--frames frames.npy]

The same as ``lava-1m1t1r deploy nir``, whose ``--help`` lists all options.
"""

import sys

from lava_1m1t1r.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["deploy", "nir"]
    raise SystemExit(main())
