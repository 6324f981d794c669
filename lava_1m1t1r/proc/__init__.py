"""Lava Processes. Each is in its own folder, which holds only ``process.py`` and ``models.py``: Lava executes every file there."""

from .._support.lava_loading import load_lava

load_lava("lava.magma.core.process.process", "The Lava Process M1T1R")
