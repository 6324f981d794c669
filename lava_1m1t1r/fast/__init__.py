"""Networks of this library as compiled, event-driven loops: no Lava, no torch, integers, threads over samples."""

from .network import FastNetwork, LayerRecord, Result
from .stream import Stream

__all__ = ["FastNetwork", "LayerRecord", "Result", "Stream"]
