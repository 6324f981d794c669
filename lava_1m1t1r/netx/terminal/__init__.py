"""Where samples enter a Lava graph, and where its output is collected."""

from lava_1m1t1r._support.lava_loading import load_lava

load_lava("lava.magma.core.process.process", "Samples for a Lava graph")
