"""Deployment: from a ``.net`` file to C, Verilog, SPICE, NIR and a Loihi-style package, each proven with the target's own tool.

:data:`TARGETS` maps a target's name to ``function(net, out_dir, **options) -> Report``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .report import Report, ToolFailed, VerificationError


def _target(module: str, function: str) -> Callable[..., Report]:
    def deploy(net: Any, out_dir: str | os.PathLike, **options: Any) -> Report:
        return getattr(import_module(f".{module}", __package__), function)(net, out_dir, **options)

    deploy.__name__ = deploy.__qualname__ = function
    deploy.__doc__ = f"See :func:`lava_1m1t1r.export.{module}.{function}`; loaded when called."
    return deploy


TARGETS: dict[str, Callable[..., Report]] = {
    "c": _target("c_target", "deploy_c"),
    "rtl": _target("rtl_target", "deploy_rtl"),
    "nir": _target("nir_target", "deploy_nir"),
    "loihi": _target("loihi_target", "deploy_loihi"),
    "spice": _target("spice_target", "deploy_spice"),
}
"""Exporting function of each target, by name; its options are those of the function in its module."""

LABELLED = {"spice"}
"""Targets that take ``labels`` beside ``frames``, and report an accuracy."""

__all__ = ["LABELLED", "TARGETS", "Report", "ToolFailed", "VerificationError"]
