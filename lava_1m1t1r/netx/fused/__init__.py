"""A network of layers in a single Lava Process, chosen by the run configuration :class:`FusedSimCfg`."""

from .config import FusedSimCfg

__all__ = ["FusedSimCfg"]
