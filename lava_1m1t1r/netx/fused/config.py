"""The run configuration that fuses networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import AbstractVirtualPort
from lava.magma.core.run_configs import Loihi2SimCfg

from lava_1m1t1r.errors import require
from lava_1m1t1r.fast.network import FastNetwork
from lava_1m1t1r.netx.fused.models import PyNetworkFusedFixed, PyNetworkFusedFloat
from lava_1m1t1r.netx.graph.process import Network
from lava_1m1t1r.run.failures import title


class FusedSimCfg(Loihi2SimCfg):
    """``Loihi2SimCfg`` under which networks run as one Process each, with the same spikes.

    Parameters
    ----------
    *networks : Network
        What to fuse; other Networks of the graph stay as they are. Their layers leave the graph: nothing else may be connected to a layer,
        and nothing connected to one afterwards gets anything; its Vars stay as they are.
    select_tag : {"fixed_pt", "floating_pt"}
        Number system, of all Processes.

    Examples
    --------
    >>> with guarded(net, FusedSimCfg(net)) as session:  # doctest: +SKIP
    ...     session.run(100)
    """

    def __init__(self, *networks: Network, select_tag: str = "fixed_pt") -> None:
        models = {"fixed_pt": PyNetworkFusedFixed, "floating_pt": PyNetworkFusedFloat}
        require(select_tag in models, "FusedSimCfg.select_tag", f"be one of {', '.join(models)}", select_tag)
        require(len(networks) > 0, "FusedSimCfg", "be given the networks to fuse", networks)
        fast = []
        for network in networks:
            require(isinstance(network, Network), "FusedSimCfg", "be given Networks", network)
            cure = "Use the configuration made for it, or a new Network."
            require(not network.fused, "FusedSimCfg", "be given networks that are not fused yet", title(network), cure)
            require(networks.count(network) == 1, "FusedSimCfg", "be given each network once", title(network))
            guests = ", ".join(sorted(_guests(network)))
            cure = "Connect to the network's own ports, or run it under Loihi2SimCfg."
            require(not guests, "FusedSimCfg", f"be given networks with nothing connected to the layers of {title(network)}", guests, cure)
            fast.append(FastNetwork(network.net, floating=select_tag == "floating_pt"))
            fast[-1].run(np.zeros((1, 1, fast[-1].inputs), np.uint8), threads=1)  # compiled before Lava forks
        for network, one in zip(networks, fast, strict=True):  # all of them, or none
            network.fuse()
            network.proc_params["fast"] = one
        super().__init__(select_tag=select_tag, exception_proc_model_map=dict.fromkeys(networks, models[select_tag]))


def _guests(network: Network) -> set[str]:
    """Processes from outside the network that are connected to one of its layers."""
    inside = {process for block in network.layers for process in (block, *block.procs.members)}
    inside |= {network.delay_lines} - {None}
    kinds = [kind for p in inside for kind in (p.in_ports, p.out_ports, p.ref_ports, p.var_ports)]
    ports = [port for kind in kinds for port in kind.members]
    others = {other.process for port in ports for side in ("in_connections", "out_connections") for other in _real(port, side)}
    return {title(other) for other in others - inside - {network}}


def _real(port: Any, side: str) -> Iterator[Any]:
    """Ports that a port is connected to on that side; ports that only reorder values are looked through, for they name another Process."""
    for other in getattr(port, side):
        if isinstance(other, AbstractVirtualPort):
            yield from _real(other, side)
        else:
            yield other
