"""Deploy a trained network as a SPICE netlist: crossbars of conductances and one 1M1T1R circuit a neuron.

    python deploy/spice/deploy.py NET.net -o OUT [--frames frames.npy] [--labels labels.npy]

frames.npy: (B, T, C) spike counts, labels.npy: (B,) classes. The same as ``lava-1m1t1r deploy spice``; prints the
report, and writes it as JSON with --json FILE.
"""

from lava_1m1t1r.export import script

arguments = script.parser("spice", __doc__, "simulate these samples: accuracy, energy, and the first ones in ngspice")
arguments.add_argument("--crossbar", default="falcone2025", help="cells that hold the weights: ideal, wan2022 or falcone2025")
arguments.add_argument("--seed", type=int, default=0, help="of programming errors and read noise")
arguments.add_argument("--patterns", type=int, default=4, help="samples that get a deck, and a run in ngspice where it is small enough")
arguments.add_argument("--timeout", type=float, default=600.0, help="[s] for a pattern in ngspice")

if __name__ == "__main__":
    raise SystemExit(script.main(arguments))
