"""Deploy a trained network as a SPICE netlist: crossbars of conductances and one 1M1T1R circuit per neuron.

    python deploy/spice/deploy.py NET.net -o OUT [--frames frames.npy] [--labels labels.npy]

The same as ``lava-1m1t1r deploy spice``, whose ``--help`` lists all options.
"""

import sys

from lava_1m1t1r.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["deploy", "spice"]
    raise SystemExit(main())
