"""The complete workflow (events -> frames -> network -> spikes -> class), as used by the command line and the tutorials.

``task``: the settings of training and device; ``data``: events to frames; ``network``: the trainable network; ``restore``: the trainable
network of a file; ``fit``: training; ``evaluate``: the exported file, run in all available ways and compared.
"""

from pathlib import Path

from ..report.html import RESULTS_FILE

__all__ = ["CHECKPOINT_FILE", "CUBA_FILE", "NETWORK_FILE", "RESULTS_FILE", "SHIPPED_NETWORK"]

NETWORK_FILE, CUBA_FILE, CHECKPOINT_FILE = "network.net", "cuba.net", "last.ckpt"
"""What a training leaves in its folder."""
SHIPPED_NETWORK = Path(__file__).resolve().parents[1] / "data" / "spoken_digits.net"
"""Path of the small trained network that comes with the package."""
