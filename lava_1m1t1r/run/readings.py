"""What a run returns: values by Var or OutPort."""

from __future__ import annotations

from .failures import title


class Readings(dict):
    """Var or OutPort to its values.

    It shows itself by names. Lava's Vars ask their graph for their value whenever they are shown, and the graph may have ended.
    """

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{title(key.process)}.{key.name}: {value!r}" for key, value in self.items()) + "}"
