"""A network of layers in a single Lava Process, chosen by the run configuration :class:`FusedSimCfg`."""

from lava_1m1t1r._support.lava_loading import load_lava

load_lava("lava.magma.core.process.process", "The run configuration FusedSimCfg")

from .config import FusedSimCfg  # noqa: E402

__all__ = ["FusedSimCfg"]
