"""Training with Lightning, which provides loop, progress bars and distribution; batch, loss and checkpoint file are our own."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._support.paths import path_of
from .._support.progress import tell
from ..answers import winner
from ..arithmetic import WEIGHT_ONE
from ..errors import FormatError, InputError, missing, require, whole
from . import CHECKPOINT_FILE
from .augment import Augmentation
from .blocks import first_computing
from .data import Frames
from .task import Task

try:
    import lightning as L
    import torch
    from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment
    from torch.utils.data import DataLoader, Dataset
except ImportError as error:
    # of an extension that does not load the name is its own, such as _C
    absent = isinstance(error, ModuleNotFoundError) and error.name or ("lightning" if "torch" in sys.modules else "torch")
    raise missing(absent.partition(".")[0], "lava", "Training", error) from error

from ..slayer.block.m1t1r import Average
from ..slayer.neuron import Neuron
from ..slayer.surrogate import Surrogate
from . import callbacks, checkpoint, randomness

_PARTS = {"epoch", "loops", "callbacks", "optimizer_states", "lr_schedulers", "random"}  # of a checkpoint, see checkpoint.read


class Trained(NamedTuple):
    """What training went through."""

    epoch: int
    """Best epoch (from 1) by validation, whose network was kept; 0 without patience."""
    accuracy: float
    """Its accuracy in validation; -1 without patience."""
    curve: list[dict[str, float]]
    """Numbers of each epoch, as ``on_epoch`` is told, also of those before the run was resumed."""


class FrameSet(Dataset):
    """Utterances kept as events: only the batch at hand is dense, (B, T, C) uint8 beside its labels."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.labels = torch.from_numpy(frames.labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, index: list[int]) -> tuple[np.ndarray, torch.Tensor]:
        return self.frames.dense(index), self.labels[index]


def _as_it_is(batch: tuple) -> tuple:
    return batch


def processes() -> tuple[int, int, int]:
    """Number of this process, of all processes, and of those on this machine, in a run under ``torchrun``; (0, 1, 1) otherwise.

    Raises
    ------
    InputError
        If machines have different numbers of them, which Lightning does not know, or somebody else set a number of processes.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:  # whatever else there is: who starts many runs may number them, and each is the first process of its own
        return 0, 1, 1
    complete = {"RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ)
    require(complete, "WORLD_SIZE", "come with the other variables that torchrun sets", world, "Start with torchrun, or unset WORLD_SIZE.")
    rank, local, machines = int(os.environ["RANK"]), int(os.environ["LOCAL_WORLD_SIZE"]), os.environ.get("GROUP_WORLD_SIZE")
    if machines is not None:
        cure = "Give torchrun the same --nproc-per-node on every machine."
        require(world == local * int(machines), "processes", f"be as many on each of {machines} machines, {local} here", world, cure)
    return rank, world, local


def steps_of_epoch(task: Task, utterances: int) -> int:
    """Number of training steps in which all processes together hear each utterance once."""
    return -(-utterances // (task.batch * processes()[1]))


def scores(output: torch.Tensor) -> torch.Tensor:
    """Score of each class: sum of the output layer over time. (B, K, T) -> (B, K)."""
    return output.sum(-1)


def classes(network: torch.nn.Module, output: torch.Tensor) -> torch.Tensor:
    """Class that a network, which has just run, answers to each utterance, as its file does. (B, K, T) -> (B,) int."""
    blocks = list(getattr(network, "blocks", ()))
    if blocks and isinstance(blocks[-1], Average):  # sums of means are rounded, and break ties of the whole numbers that files add up
        return winner(torch.round(output * (WEIGHT_ONE * blocks[-1].group)).long().sum(-1))
    return winner(scores(output))


def _neurons(network: torch.nn.Module) -> list[tuple[str, Neuron]]:
    """A network's 1M1T1R neurons, by name."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, Neuron)]


class Learner(L.LightningModule):
    """A network of lava-dl blocks learning to tell classes apart by its outputs, summed over time."""

    def __init__(self, network: torch.nn.Module, task: Task, steps: int, augmentation: Augmentation | None) -> None:
        super().__init__()
        self.network, self.task, self.steps, self.augmentation = network, task, steps, augmentation
        self.rng = np.random.default_rng(task.seed)
        self.began, self._random = False, None
        self.spikes: torch.Tensor | None = None
        self.right = torch.zeros(())  # answers in validation

    @property
    def _gpus(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []  # dropout there draws from its own generator

    @contextmanager
    def listening(self) -> Iterator[None]:
        """For a ``with`` block in which the hidden layer's spikes are recorded, if they add to the loss."""
        if self.task.spike_limit is None:
            yield
            return
        hook = first_computing(self.network.blocks).register_forward_hook(self._note)
        try:
            yield
        finally:
            hook.remove()
            self.spikes = None

    def _note(self, _block: torch.nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        self.spikes = output

    def on_fit_start(self) -> None:
        # each process of a distributed run draws its own augmentation, noise and devices
        self.rng = np.random.default_rng([self.task.seed, self.global_rank])
        if self.global_rank > 0:
            torch.manual_seed(int(np.random.default_rng([self.task.seed, self.global_rank, 1]).integers(1 << 31)))
        if self._random is not None:
            randomness.set_states(self._random, self._gpus)
            self.rng.bit_generator.state = self._random["augmentation"]

    def on_train_start(self) -> None:
        self.began = True

    def on_save_checkpoint(self, values: dict[str, Any]) -> None:  # in every process
        values["surrogates"] = self.surrogates()
        own = randomness.states(self._gpus) | {"augmentation": self.rng.bit_generator.state}
        values["random"] = [own]
        if self.trainer.world_size > 1:
            of_all: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(of_all, own)
            values["random"] = of_all

    def on_load_checkpoint(self, values: dict[str, Any]) -> None:
        self._random = values["random"][self.global_rank]
        self.set_surrogates(values.get("surrogates", {}))  # earlier checkpoints have none

    def surrogates(self) -> dict[str, dict[str, float]]:
        """Settings of each neuron's surrogate, by the neuron's name in the network."""
        return {name: dataclasses.asdict(neuron.surrogate) for name, neuron in _neurons(self.network)}

    def set_surrogates(self, settings: dict[str, dict[str, float]]) -> None:
        """Take over what :meth:`surrogates` gave; neurons that it does not name stay as they are."""
        for name, neuron in _neurons(self.network):
            if name in settings:
                neuron.surrogate = Surrogate(**settings[name])

    @callbacks.no_end
    def transfer_batch_to_device(self, batch: tuple, device: torch.device, dataloader_idx: int) -> tuple:
        x, y = batch
        if self.training and self.augmentation is not None:
            x = self.augmentation(x, self.rng)
        return torch.from_numpy(x).to(device).float().transpose(1, 2).contiguous(), y.to(device)

    def training_step(self, batch: tuple, _index: int) -> torch.Tensor:
        x, y = batch
        output = self.network(x)
        logits = scores(output)
        outputs = logits.shape[1]
        require(
            outputs >= self.task.classes, "network", f"have an output for each of Task.classes ({self.task.classes})", f"{outputs} outputs"
        )
        loss = torch.nn.functional.cross_entropy(logits, y, label_smoothing=self.task.label_smoothing) + self._charge()
        self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        right = (classes(self.network, output) == y).float()
        self.log("train_accuracy", right.mean(), on_step=False, on_epoch=True, sync_dist=True)
        return loss

    @callbacks.no_end
    def optimizer_step(self, *args: Any, **named: Any) -> None:
        super().optimizer_step(*args, **named)  # calls all of a training step, hooks of backward and of the optimiser included

    def _charge(self) -> torch.Tensor | float:
        """Loss of the spikes above the limit, of which only a share counts at first: a network silenced before it has learned anything
        stays silent."""
        if self.spikes is None or self.task.spike_limit is None:
            return 0.0
        neurons = self.spikes[0, ..., 0].numel()  # of (B, N, T), or (B, C, H, W, T)
        spikes = self.spikes.sum(tuple(range(1, self.spikes.dim())))
        excess = torch.relu(spikes - self.task.spike_limit).mean() / neurons
        return self.task.spike_cost * min(1.0, 3 * self.global_step / self.steps) * excess

    def on_train_epoch_start(self) -> None:
        self.network.train()  # Lightning leaves it as it was evaluated, before training or after an epoch

    def on_validation_epoch_start(self) -> None:
        self.right = torch.zeros((), device=self.device)

    @callbacks.no_end
    def validation_step(self, batch: tuple, index: int) -> None:
        x, y = batch
        # the processes take utterances in turn and repeat the first ones until all have equally many; the repeated ones do not count
        watched = self.trainer.val_dataloaders
        place = (index * watched.batch_size + torch.arange(len(y), device=y.device)) * self.trainer.world_size + self.global_rank
        self.right += ((classes(self.network, self.network(x)) == y) & (place < len(watched.dataset))).sum()

    def on_validation_epoch_end(self) -> None:
        right = self.trainer.strategy.reduce(self.right, reduce_op="sum")
        share = right / len(self.trainer.val_dataloaders.dataset)
        self.log("accuracy", share, sync_dist=self.trainer.world_size > 1, reduce_fx="max")  # all have the same: a mean would round it

    def configure_optimizers(self) -> dict[str, Any]:
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.task.learning_rate, weight_decay=0.0)
        steps = max(self.steps, 3)
        # at least one step of rise: torch divides by their number, which 0.1 of few steps rounds to 0
        rise = max(0.1, 2 / steps)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.task.learning_rate, total_steps=steps, pct_start=rise)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@contextmanager
def _quiet() -> Iterator[None]:
    """For a ``with`` block in which Lightning does not print what helps nobody here, and Ctrl-C works as before."""
    log = logging.getLogger("lightning.pytorch")
    level, handler = log.level, signal.getsignal(signal.SIGINT)
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*no `val_dataloader`.*")  # validation is optional
            yield
    except SystemExit as error:  # Lightning turns Ctrl-C into this, and ignores any further one from then on
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise
    finally:
        log.setLevel(level)
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


def _check_frames(frames: Frames, task: Task, name: str) -> None:
    require(isinstance(frames, Frames), name, "be Frames", frames, "Make them of events with frames_of.")
    require(len(frames) > 0, name, "hold at least one utterance", len(frames))
    low, high = int(frames.labels.min()), int(frames.labels.max())
    require(0 <= low and high < task.classes, f"{name}: labels", f"lie in 0..{task.classes - 1}", high if low >= 0 else low)


def fit(
    network: torch.nn.Module,
    task: Task,
    train: Frames,
    folder: str | os.PathLike,
    *,
    validation: Frames | None = None,
    augmentation: Augmentation | None = None,
    resume: bool = False,
    patience: int | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    progress: bool = True,
    accelerator: str = "cpu",
) -> Trained:
    """Train in place; the last checkpoint is ``last.ckpt`` in ``folder``.

    Under ``torchrun`` every process takes its share of each epoch's utterances (Lightning's DistributedSampler) and of ``batch`` each;
    gradients are averaged, so that all have the same parameters, and the first process writes the checkpoints.

    Parameters
    ----------
    network : torch.nn.Module
        (B, C, T) spikes in, (B, K, T) out, K at least the task's classes. With ``task.spike_limit`` it has a list ``blocks``; the first
        of them that computes is charged.
    task : Task
        Its epochs, batch, learning rate, charges and seed; frames are as it asks already.
    train : Frames
        Of (T, C) each; shuffled anew in every epoch.
    folder : path
        Where ``last.ckpt`` is kept, written after every epoch.
    validation : Frames, optional
        Watched after each epoch. Never pass the test set here and then choose by it.
    augmentation : Augmentation, optional
        Changes each training utterance every time anew; None: none.
    resume : bool
        Go on from ``last.ckpt``, to the result of a run that was never stopped; without such a file, start
        afresh, and say so unless ``progress`` is False.
    patience : int, optional
        Epochs without improvement of the validation accuracy after which training stops. The network is then that of the best epoch
        (the first of equals), whether training stopped early or not; without ``patience`` it is that of the last.
    on_epoch : callable, optional
        Called after each epoch, when its checkpoint is written, with its ``epoch`` (from 1), ``loss`` (mean of its batches),
        ``train_accuracy`` and, with a validation set, ``accuracy``: to watch, plot or log. It may anneal the surrogates of 1M1T1R
        neurons (``net.hidden.neuron.tau_grad``): the checkpoint holds what it sets, for a run that goes on with the network made anew.
        (Those of other neurons, such as lava-dl's, would start again.) Random numbers that it draws are the caller's, not the training's.
    progress : bool
        Whether to show a line an epoch and, on a terminal, a bar of the epoch at hand.
    accelerator : str
        "cpu", or "gpu" for a network that is faster there. One of 1M1T1R neurons is not, unless batches are very large: a GPU does 52 000
        operations of torch in each training step of 100 frames (185 000 with 4 substeps), and takes some microseconds to begin each.

    Returns
    -------
    Trained
        Numbers of each epoch and, with ``patience``, which one was kept.

    Raises
    ------
    FormatError
        If ``last.ckpt`` is to be resumed and is damaged or something else.
    InputError
        If it is of a run with other choices, data or sizes, or of a network made otherwise; the text names the first that differs. Or if
        an argument cannot be trained with, such as 1M1T1R neurons with ``persistent_state``.
    """
    patience = None if patience is None else whole(patience, "patience", least=1)
    require(accelerator in ("cpu", "gpu"), "accelerator", 'be "cpu" or "gpu"', accelerator)
    require(accelerator == "cpu" or torch.cuda.is_available(), "accelerator", 'be "cpu" where torch finds no GPU', accelerator)
    _check_arguments(network, task, train, validation, patience)
    last = path_of(folder, "folder") / CHECKPOINT_FILE
    rank, world, local = processes()
    run = _run_of(network, task, train, validation, augmentation, patience)
    with randomness.set_aside() as callers:
        L.seed_everything(task.seed, verbose=False)
        learner = Learner(network, task, task.epochs * steps_of_epoch(task, len(train)), augmentation)
        found = None
        if resume and last.exists():
            found = _found(last, run, learner)
        elif resume and progress and rank == 0:
            tell(f"no checkpoint in {last.parent} to go on from: starting afresh")
        network.train()  # Lightning leaves a network that was evaluated before as it is
        best, curve = callbacks.Best(), callbacks.Curve()
        epochs = found["epoch"] + 1 if found is not None and _stopped_early(found) else task.epochs
        if world > 1 and any(value.numel() == 0 for value in network.parameters()):
            with torch.no_grad():  # learned delays are drawn at the first call, and processes agree on sizes before it
                network(torch.from_numpy(train.dense([0])).float().transpose(1, 2))
        loader = DataLoader(FrameSet(train), task.batch, shuffle=True, collate_fn=_as_it_is)
        own = torch.Generator()  # a loader draws a number for its workers: from torch's own generator this would change the training
        watched = None if validation is None else DataLoader(FrameSet(validation), task.batch, collate_fn=_as_it_is, generator=own)
        with _quiet():
            alike = callbacks.Alike(run | {"epoch of the checkpoint": None if found is None else found["epoch"]})
            called = [alike, callbacks.Ended(), curve, *_callbacks(last, epochs, patience, best, on_epoch, progress, callers)]
            trainer = _trainer(epochs, run, called, world, local, accelerator)
            with _in_words(last, learner, found is not None, world), learner.listening():
                trainer.fit(learner, loader, watched, ckpt_path=None if found is None else str(last))
            if task.epochs == 0:  # nothing was trained: a checkpoint of the network as it is, to continue from
                trainer.save_checkpoint(last)
        best.restore(learner)
        if best.epoch and progress and rank == 0:
            tell(f"the network is that of epoch {best.epoch}, the best in validation ({best.accuracy:.1%})")
        return Trained(best.epoch, best.accuracy, curve.epochs)


def _check_arguments(network: Any, task: Any, train: Any, validation: Any, patience: Any) -> None:
    require(isinstance(task, Task), "task", "be a Task", task)
    _check_frames(train, task, "train")
    cure = "Take more or longer steps, or cut the silence before the words."
    require(len(train.binned.channel) > 0, "train", f"hold a spike in its {task.n_steps} steps of {task.dt:g} s", 0, cure)
    if validation is not None:
        _check_frames(validation, task, "validation")
        channels = [frames.binned.shape[2] for frames in (train, validation)]
        require(channels[0] == channels[1], "validation", f"have {channels[0]} channels, as the training set", channels[1])
    charged = task.spike_limit is None or first_computing(getattr(network, "blocks", ())) is not None
    cure = "Or leave Task.spike_limit at None: it counts the spikes of the first block that computes."
    require(charged, "network", "have a list of blocks", type(network).__name__, cure)
    require(patience is None or validation is not None, "patience", "come with a validation set", patience)
    for name, neuron in _neurons(network):
        cure = "Each batch would go on from the states of other utterances: make the network without it, or set the attribute to False."
        require(not neuron.persistent_state, f"network: persistent_state of {name}", "be False", True, cure)


def _run_of(
    network: torch.nn.Module,
    task: Task,
    train: Frames,
    validation: Frames | None,
    augmentation: Augmentation | None,
    patience: int | None,
) -> dict[str, Any]:
    """What tells a run from others: choices, data, and how the network is made."""
    return {
        "start": getattr(network, "origin", "") or None,
        "recipe": task.name,
        **{name: value for name, value in dataclasses.asdict(task).items() if name != "name"},
        "patience": patience,
        "augmentation": None if augmentation is None else dataclasses.asdict(augmentation),
        "training data": train.digest,
        "validation data": None if validation is None else validation.digest,
        "processes": processes()[1],
        **checkpoint.made_of(network),
    }


def _found(last: Path, run: dict[str, Any], learner: Learner) -> dict[str, Any]:
    """Content of the checkpoint, which must be of this run."""
    found = checkpoint.read(last)
    missing_parts = sorted(_PARTS - set(found))
    require(not missing_parts, str(last), f"hold {missing_parts[:1]}", sorted(found), "Start afresh, without resuming.", FormatError)
    checkpoint.same_run(last, found, run)
    checkpoint.same_shapes(last, found["state_dict"], learner)
    if run["patience"] is not None:
        kept = found["callbacks"].get(callbacks.Best().state_key)
        cure = "Start afresh, without resuming."
        require(isinstance(kept, dict), str(last), "hold the best epoch so far", sorted(found["callbacks"]), cure, FormatError)
        checkpoint.same_shapes(last, kept.get("parameters") or {}, learner)
    return found


@contextmanager
def _in_words(last: Path, learner: Learner, resumed: bool, world: int) -> Iterator[None]:
    """For a ``with`` block that trains: errors of processes that were lost, and of checkpoints that cannot go on, tell the user so."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if world > 1 and learner.began and _lost(error):
            reason, cure = str(error).splitlines()[0], "See its own message. Finished epochs are kept: --resume continues from them."
            raise InputError(f"another process of the run has ended ({reason}). {cure}") from error
        if not resumed or learner.began:
            raise
        reason = " ".join(str(error).split()).rstrip(" .")  # torch writes several lines
        raise FormatError(f"{last} must hold a run that can go on; {reason}. Start afresh, without resuming.") from error


def _lost(error: Exception) -> bool:
    """Whether another process could not be reached any more."""
    words = ("closed by peer", "reset by peer", "Broken pipe", "remote process")  # of gloo, and of NCCL
    return isinstance(error, RuntimeError) and any(part in str(error) for part in words)


def _callbacks(
    last: Path,
    epochs: int,
    patience: int | None,
    best: callbacks.Best,
    on_epoch: Callable[[dict[str, float]], None] | None,
    progress: bool,
    callers: randomness.Callers,
) -> list[L.Callback]:
    called: list[L.Callback] = [callbacks.Keep(last)]
    if patience is not None:
        called += [best, L.pytorch.callbacks.EarlyStopping("accuracy", mode="max", patience=patience)]
    if on_epoch is not None or processes()[1] > 1:  # the first process alone may have one: all hand over and take what it sets
        called.append(callbacks.Tell(on_epoch or (lambda _: None), last, callers))
    return [*called, callbacks.Bar(), callbacks.Line(epochs)] if progress else called


def _trainer(epochs: int, run: dict[str, Any], called: list[L.Callback], world: int, local: int, accelerator: str) -> L.Trainer:
    # all of them, or Lightning takes those that are left out from the environment (PL_TRAINER_LIMIT_TRAIN_BATCHES, PL_TRAINER_PRECISION)
    usual = {name: argument.default for name, argument in inspect.signature(L.Trainer).parameters.items()}
    ours = dict(
        max_epochs=epochs,
        default_root_dir=os.devnull,  # no folder: in a job of SLURM, Lightning goes on from a file hpc_ckpt_1.ckpt that it finds there
        accelerator=accelerator,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        logger=False,
        callbacks=called,
        # or Lightning finds a job of SLURM or MPI by itself, and takes its ranks and signals
        plugins=[callbacks.Files(run), TorchElasticEnvironment() if world > 1 else LightningEnvironment()],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        log_every_n_steps=1,
    )
    return L.Trainer(**(usual | ours))


def _stopped_early(found: dict[str, Any]) -> bool:
    states = found.get("callbacks")
    states = states.values() if isinstance(states, dict) else ()
    return any(isinstance(state, dict) and state.get("stopped_epoch") for state in states)
