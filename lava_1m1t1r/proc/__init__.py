"""Lava Processes. Each stands in a folder of its own that holds ``process.py`` and ``models.py`` only: Lava runs every file there."""

from lava_1m1t1r._support.host import load_lava

load_lava("lava.magma.core.process.process", "The Lava Process M1T1R")
