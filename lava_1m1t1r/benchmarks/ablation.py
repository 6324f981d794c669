"""Ablation of the device's characteristics: accuracy with plasticity, noise and refractoriness switched off or on, several seeds.

``lava-1m1t1r bench ablation --repeats 5`` on SpokenDigits. Runs of the same seed start from the same weights and see the
same utterances in the same order, so that differences are paired; with noise, which draws from the same generator, in another order from
the second epoch on. Finished runs are kept in the folder ``--folder``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from ..errors import counted
from ..params import DeviceParams
from ..recipes import data
from ..recipes.augment import Augmentation
from ..recipes.task import Task
from .table import Table, write_json
from .trainings import changed, checked, chosen_augmentation, in_words, kept, mean_and_error, options, trained

FULL = "as fitted to the device"
NO_PLASTICITY, NOISE, NOISE_TRAINING = "plasticity off", "noise on", "noise on in training only"
NO_REFRACTORINESS, LONGER = "refractoriness off", "refractoriness twice as long"


class Variant(NamedTuple):
    """A change of the device; the network step, the initial weights and everything else of the training stay."""

    device: Callable[[DeviceParams], DeviceParams]
    tested: dict[str, float] = {}
    """Device parameters that are set to these values after training, for the test."""


def variants(sigma: float) -> dict[str, Variant]:
    """Devices of the table by name; ``sigma`` is the variance of an increment per increment, of filament and residue [1]."""
    noisy = lambda p: replace(p, sigma1=sigma, sigma2=sigma)  # noqa: E731
    return {
        FULL: Variant(lambda p: p),
        # the filament dissolves as fast as before, but leaves nothing behind; growth, field, gate and threshold stay
        NO_PLASTICITY: Variant(lambda p: replace(p, beta=0.0, gamma1=p.gamma1 + p.beta)),
        NOISE: Variant(noisy),
        NOISE_TRAINING: Variant(noisy, {"sigma1": 0.0, "sigma2": 0.0}),
        # R_c C_g of the recipe is 100 ms, ten steps; a hundredth of it empties the gate within the step
        NO_REFRACTORINESS: Variant(lambda p: replace(p, r_control=p.r_control / 100)),
        LONGER: Variant(lambda p: replace(p, r_control=2 * p.r_control)),
    }


class Sentence(NamedTuple):
    """A sentence of the paper as a comparison of two rows."""

    text: str
    measure: str
    more: str
    """Name of the row whose measure is the larger one if the sentence holds."""
    less: str


SENTENCES = (
    Sentence("plasticity: better fit in training", "train_accuracy", FULL, NO_PLASTICITY),
    Sentence("plasticity: more unheard voices right", "accuracy", FULL, NO_PLASTICITY),
    Sentence("noise: more unheard voices right", "accuracy", NOISE, FULL),
    Sentence("noise in training only: more unheard voices right", "accuracy", NOISE_TRAINING, FULL),
    Sentence("noise: smaller gap, training to test", "gap", FULL, NOISE),
    Sentence("refractoriness: fewer spikes", "spikes", NO_REFRACTORINESS, FULL),
    Sentence("longer refractoriness: fewer still", "spikes", FULL, LONGER),
    Sentence("refractoriness: more unheard voices right", "accuracy", FULL, NO_REFRACTORINESS),
)
"""What the paper says, as comparisons: plasticity helps gradients, noise helps generalisation, refractoriness tunes activity."""


def network_of(task: Task, variant: Variant) -> Any:
    """The untrained network of a variant, with the weights and biases of a fresh network of the task's own device, as all variants have
    them: fresh biases would suit the turn-on of the variant's device."""
    from torch.nn.utils import parameters_to_vector, vector_to_parameters

    from ..recipes import network

    net = network.m1t1r(task, params=variant.device(task.step.device))
    vector_to_parameters(parameters_to_vector(network.m1t1r(task).parameters()), net.parameters())
    return net


def run(task: Task, variant: Variant, train: data.Frames, test: data.Frames, augmentation: Augmentation) -> dict[str, Any]:
    """Train and test one network; results as :func:`.trainings.trained`, and the ``gap`` of accuracy from training to test."""
    net = network_of(task, variant)

    def as_tested() -> None:
        if variant.tested:
            net.hidden.neuron.set_params(**variant.tested)

    result = trained(net, task, train, test, augmentation, True, as_tested)
    return {**result, "gap": result["train_accuracy"] - result["accuracy"]}


def judged(sentence: Sentence, found: dict[str, list[dict[str, Any]]]) -> tuple[float, float, str]:
    """Mean paired difference, its standard error, and whether it differs from 0 (Student's t, 95 %), in words."""
    pairs = zip(found[sentence.more], found[sentence.less], strict=True)
    difference, error = mean_and_error([more[sentence.measure] - less[sentence.measure] for more, less in pairs])
    if not np.isfinite(error):
        return difference, error, "one seed"
    if abs(difference) <= error * t.ppf(0.975, len(found[sentence.more]) - 1):
        return difference, error, "not seen"
    return difference, error, "holds" if difference > 0 else "opposite"


def main(arguments: list[str] | None = None) -> int:
    """Print the table and the sentences."""
    own = options(__doc__, "runs/ablation", epochs=10, hidden=128, sizes=(100, 114))
    own.set_defaults(repeats=5)
    own.add_argument("--sigma", type=float, default=0.005, help="noise where it is on: variance of an increment per increment")
    args = own.parse_args(arguments)
    known = variants(args.sigma)
    chosen = checked(args, list(known))
    base = Task("ablation", channels=args.channels, hidden=args.hidden, epochs=args.epochs, batch=args.batch)
    for name in chosen:  # a noise that cannot be is refused before data are made, and other variants trained
        base.step.replace(device=known[name].device(base.step.device)).fixed()
    split = data.load(None, train_per_class=args.train_per_class, test_per_class=args.test_per_class)
    task = data.fitted(base, split)
    augmentation = chosen_augmentation(args)
    train, test = data.frames_of(split.train, task), data.frames_of(split.test, task)

    frames = [train.digest, test.digest]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for seed in range(args.repeats):  # outside: a run that is stopped leaves whole sets of variants
        for name in chosen:
            of_seed, device = task.replace(seed=seed), known[name].device(task.step.device)
            settings: dict[str, Any] = {"task": dataclasses.asdict(of_seed), "device": device.as_dict(), "tested": known[name].tested}
            settings |= {"frames": frames, "augmentation": dataclasses.asdict(augmentation), "start": FULL}
            job = lambda v=known[name], seeded=of_seed: run(seeded, v, train, test, augmentation)  # noqa: E731
            result = kept(args.folder, name, settings, job, f"{name}, seed {seed}")
            found[name].append({"seed": seed, **{key: settings[key] for key in ("task", "device", "tested", "augmentation")}, **result})
    title = f"{split.name}, {split.held_out}: {len(train)} utterances, {task.hidden} neurons, {counted(task.epochs, 'epoch')}, "
    title += f"batches of {task.batch}, {counted(args.repeats, 'seed')}"
    title = ", ".join([title, *in_words(changed(own, args, {"hidden", "epochs", "batch", "train_per_class"}))])
    table = Table(title, ("accuracy %", "+-", "train %", "+- ", "spikes", "+-  ", "CPU s"))
    for name in chosen:
        cells = []
        for key, scale in (("accuracy", 100), ("train_accuracy", 100), ("spikes", 1)):
            mean, error = mean_and_error([scale * result[key] for result in found[name]])
            cells += [f"{mean:.1f}", f"{error:.1f}"]
        table.add(name, *cells, float(np.mean([result["cpu"] for result in found[name]])))
        table.rows[-1]["runs"] = found[name]
    verdicts = Table("Whether it holds here: paired differences, Student's t at 95 %", ("measure", "difference", "+-", "verdict"))
    for sentence in SENTENCES:
        if sentence.more in found and sentence.less in found:
            difference, error, verdict = judged(sentence, found)
            scale = 1 if sentence.measure == "spikes" else 100
            verdicts.add(sentence.text, sentence.measure, f"{scale * difference:.1f}", f"{scale * error:.1f}", verdict)
    write_json(args.json, [table.as_dict(), verdicts.as_dict()])
    return 0
