"""Networks from ``.net`` files as graphs of Lava Processes."""

from lava_1m1t1r._support.lava_loading import load_lava

load_lava("lava.magma.core.process.process", "The Lava Process Network")
