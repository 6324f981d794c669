"""A sample's way: events -> frames -> network -> spikes -> answer, as the command line and the tutorials walk it.

``task``: what is learnt and by which device; ``data``: events to frames; ``network``: the trainable network; ``restore``: that of a
file; ``fit``: training; ``evaluate``: the exported file, run three ways and compared.
"""

from ..report.html import RESULTS_FILE

__all__ = ["CHECKPOINT_FILE", "CUBA_FILE", "NETWORK_FILE", "RESULTS_FILE"]

NETWORK_FILE, CUBA_FILE, CHECKPOINT_FILE = "network.net", "cuba.net", "last.ckpt"
"""What a training leaves in its folder."""
