"""Deploy a trained network as Loihi-style files: netx file, resource report, hand-off package.

    python deploy/loihi/deploy.py NET.net -o OUT [--frames frames.npy]

The same as ``lava-1m1t1r deploy loihi``, whose ``--help`` lists all options.
"""

import sys

from lava_1m1t1r.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["deploy", "loihi"]
    raise SystemExit(main())
