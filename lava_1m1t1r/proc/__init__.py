"""Lava Processes. Each is in its own folder, which holds only ``process.py`` and ``models.py``: Lava executes every file there."""

from lava_1m1t1r._support.host import load_lava

load_lava("lava.magma.core.process.process", "The Lava Process M1T1R")
