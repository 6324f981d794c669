"""Settings that a forked process would keep for each ProcessModel: of numpy, torch, warnings, the event loop and context variables."""

from __future__ import annotations

import contextvars
import sys
import warnings
from asyncio import _get_running_loop, _set_running_loop
from typing import Any

import numpy as np


def own_context() -> contextvars.Context:
    """The user's context variables as they are now, for a model to change."""
    context = contextvars.copy_context()
    decimal = sys.modules.get("decimal")
    if decimal is not None:
        context.run(lambda: decimal.setcontext(decimal.getcontext().copy()))  # the variable holds an object that is changed in place
    return context


class Settings:
    """Settings that a model may make for its process, and keep while a port blocks or from its start on.

    They are numpy's handling of errors (``np.errstate``), torch's gradient mode (``torch.no_grad``), what becomes of warnings
    (``warnings.catch_warnings``, ``warnings.filterwarnings``), and the event loop that runs (``asyncio.run``; not that of a notebook).
    Greenlets keep context variables (numpy 2, ``decimal``) apart. Checking takes 0.3 us. After a model with filters of its own, Python
    tells again what it tells once. Models work inside a ``with`` block; outside of it all settings are the user's.
    """

    def __init__(self):
        self._errors = getattr(np, "geterrobj", list)
        self._shared: list = []  # filters of warnings that models start from: warnings.filterwarnings changes such a list in place
        self._at_fork: tuple = ()
        self.held: dict[Any, tuple] = {}
        """Settings that models have made, by model."""

    def __enter__(self):
        torch = sys.modules.get("torch")
        self._gradients = (lambda: True) if torch is None else torch.is_grad_enabled
        self._set_gradients = None if torch is None else torch.set_grad_enabled
        self._users = errors, gradients, filters, *show, _ = self._read()
        self._filters = list(filters)
        self._at_fork = self._at_fork or (errors, gradients)  # which results depend on; a forked process keeps them
        self._start = (*self._at_fork, *show)
        self._begin()

    def __exit__(self, *exc_info):
        self._write(self._users)

    def enter(self, model: Any) -> None:
        """Restore the settings as this model left them."""
        if model in self.held:
            self._write(self.held.pop(model))
        else:  # a list of its own, which a catch_warnings of the model's may keep and put back
            self._shared = warnings.filters = list(self._filters)

    def leave(self, model: Any) -> None:
        """Keep this model's settings for its next turn, and restore the user's for the others."""
        errors, gradients, show, show_it = self._start
        w: Any = warnings
        filters = self._shared
        if (
            w.filters is not filters
            or filters != self._filters
            or w.showwarning is not show
            or w._showwarnmsg_impl is not show_it
            or self._gradients() is not gradients
            or self._errors() != errors
            or _get_running_loop() is not None
        ):
            self.held[model] = self._read()
            self._begin()

    def _begin(self) -> None:
        """Make the settings those that models start from."""
        errors, gradients, *show = self._start
        self._shared = list(self._filters)
        self._write((errors, gradients, self._shared, *show, None))

    def _read(self) -> tuple:
        w: Any = warnings
        errors = list(self._errors())  # numpy hands out its own list
        return errors, self._gradients(), w.filters, w.showwarning, w._showwarnmsg_impl, _get_running_loop()

    def _write(self, found: tuple) -> None:
        w: Any = warnings
        errors, gradients, filters, *show, loop = found
        if errors:
            np.seterrobj(list(errors))
        if self._set_gradients is not None:
            self._set_gradients(gradients)
        w.showwarning, w._showwarnmsg_impl = show
        if w.filters is not filters:
            others, w.filters = w.filters != filters, filters
            if others:  # else warnings that were told once would be told again
                w._filters_mutated()
        _set_running_loop(loop)
