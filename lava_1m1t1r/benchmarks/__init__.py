"""Benchmarks: each module that :data:`TABLES` names prints its tables, by ``lava-1m1t1r bench``; the others serve them."""

TABLES = {
    "device": ("device_speed", "speed in continuous time: one device compared with ngspice; a thousand different devices"),
    "training": ("training_step", "speed of a recurrent layer's training step, compared with lava-dl, snnTorch, Norse, SpikingJelly, JAX"),
    "simulation": ("simulation_speed", "speed of the fast path versus Lava, Brian2, torch libraries, JAX; versus activity, size, threads"),
    "lava": ("lava_runtime", "speed of one Lava graph: stock runtime, guarded, in process, fused, by samples; Monitor and Recorder"),
    "accuracy": ("accuracy", "accuracy on unseen voices: 1M1T1R versus CUBA, adaptive LIF, LSNN, GRU, equal budgets (an hour or more)"),
    "ablation": ("ablation", "accuracy without plasticity, noise or refractoriness, several seeds (ten minutes or more)"),
    "variation": ("variation", "accuracy versus device-to-device variation, trained on one device and trained for variation"),
}
"""Module and description of each table, by its name on the command line."""
