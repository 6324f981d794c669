"""What happens beside a training loop of Lightning: progress, checkpoint files, the best network so far."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from .._support.progress import bar, tell
from ..errors import require
from . import checkpoint, randomness


def no_end(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose StopIteration is an error: Lightning takes one from anywhere for the end of its data, and would skip the rest of
    an epoch, and all later ones, without a word."""

    @functools.wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except StopIteration as error:
            raise RuntimeError("what training calls raised StopIteration: does it ask next() of an iterator that has ended?") from error

    return called


def _numbers(trainer: L.Trainer) -> dict[str, float]:
    """Those of the epoch that ends, from 1."""
    known = trainer.callback_metrics
    return {"epoch": trainer.current_epoch + 1} | {n: float(known[n]) for n in ("loss", "train_accuracy", "accuracy") if n in known}


class Keep(Checkpoint):
    """Writes the one checkpoint file after every epoch.

    When Lightning's ModelCheckpoint does so changes between its versions: that of 2.6, told to keep the last one only, writes none before
    the run's end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.save_checkpoint(self.path)  # in all processes: the first writes, and they wait for each other


class Watch(Checkpoint):
    """Hands each epoch's numbers to a function once the epoch's checkpoint is written: whoever is told of an epoch may stop the run.

    Lightning calls all that is a Checkpoint last, in the order given.
    """

    def __init__(self, seen: Callable[[dict[str, float]], None]) -> None:
        self.seen = seen

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self.seen(_numbers(trainer))


class Tell(Watch):
    """Hands each epoch's numbers to the caller's function, which may anneal surrogates: all processes take over what it sets in the first,
    and the checkpoint is written again with it, also if the function stops the run."""

    def __init__(self, seen: Callable[[dict[str, float]], None], path: Path, callers: randomness.Callers) -> None:
        self.path, self.callers = path, callers
        super().__init__(no_end(seen))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        before = pl_module.surrogates()
        try:
            with self.callers.drawn():
                super().on_train_epoch_end(trainer, pl_module)
        finally:
            after = trainer.strategy.broadcast(pl_module.surrogates())
            if after != before:
                pl_module.set_surrogates(after)
                trainer.save_checkpoint(self.path)


class Line(Watch):
    """Prints a line an epoch."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        super().__init__(self._print)

    def _print(self, epoch: dict[str, float]) -> None:
        accuracy = f", {epoch['accuracy']:.1%} in validation" if "accuracy" in epoch else ""
        tell(f"epoch {epoch['epoch']} of {self.epochs}: loss {epoch['loss']:.3g}, {epoch['train_accuracy']:.1%} in training{accuracy}")


class Bar(L.Callback):
    """Bar of the present epoch. Lightning's counts epochs from 0, cuts its numbers short, and stays half drawn after Ctrl-C."""

    def __init__(self) -> None:
        self.shown: Any = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        title = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
        self.shown = bar(title=title, asked=trainer.is_global_zero, total=int(trainer.num_training_batches), unit="batches")

    def on_train_batch_end(self, *_: Any) -> None:
        self.shown.update()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.shown.close()

    def on_exception(self, *_: Any) -> None:
        if self.shown is not None:
            self.shown.close()


class Alike(L.Callback):
    """Refuses processes that would train different things: they would wait for each other, or average gradients of what differs."""

    def __init__(self, run: dict[str, Any]) -> None:
        self.run = run

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if trainer.world_size == 1:
            return
        of_all: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(of_all, self.run)
        cure = "Give all processes the same data and options, and to --resume the same last.ckpt: a folder that they share, or a copy."
        for rank, own in enumerate(of_all):
            other = checkpoint.first_difference(of_all[0], own)
            if other is not None:
                require(False, f"{other.said} of process {rank}", f"be that of the first process, {other.was!r}", other.now, cure)


class Ended(L.Callback):
    """Leaves SIGTERM to the handler that was there before the run, made in time to know it. Lightning's speaks with the other processes
    from wherever it interrupts this one: in the middle of what they exchange, all would wait for each other."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


class Best(L.Callback):
    """Keeps the parameters of the epoch of the best validation accuracy, in the run's one checkpoint file: resuming finds both or none."""

    def __init__(self) -> None:
        self.epoch, self.accuracy = 0, -1.0
        self.parameters: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        accuracy = float(trainer.callback_metrics["accuracy"])
        if accuracy > self.accuracy:
            self.epoch, self.accuracy = trainer.current_epoch + 1, accuracy
            self.parameters = {name: value.detach().clone() for name, value in pl_module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """State for the checkpoint."""
        return {"epoch": self.epoch, "accuracy": self.accuracy, "parameters": self.parameters}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        self.epoch, self.accuracy, self.parameters = (state_dict[name] for name in ("epoch", "accuracy", "parameters"))

    def restore(self, learner: torch.nn.Module) -> None:
        """Put the best epoch's parameters into the network, if an epoch has ended."""
        if self.parameters:
            learner.load_state_dict(self.parameters)


class Curve(L.Callback):
    """Keeps the numbers of every epoch, in the run's one checkpoint file: a run that was resumed knows those before."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epochs.append(_numbers(trainer))

    def state_dict(self) -> dict[str, Any]:
        """State for the checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        self.epochs = [dict(epoch) for epoch in state_dict["epochs"]]
        for value in (value for epoch in self.epochs for value in epoch.values()):
            float(value)  # complains of what is no number


class Files(CheckpointIO):
    """Lightning's checkpoints in our form: no pickles, and each holds what the run was started with."""

    def __init__(self, run: dict[str, Any]) -> None:
        self.run = run

    def save_checkpoint(self, values: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write(path, {**values, checkpoint.RUN: self.run})

    def load_checkpoint(self, path: str | os.PathLike, *_: Any, **__: Any) -> dict[str, Any]:
        return checkpoint.read(path)

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        Path(path).unlink(missing_ok=True)
