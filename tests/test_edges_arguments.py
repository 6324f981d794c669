"""Nonsense for every argument of what is public: an InputError that names the argument, at once; a result where it happens to be right."""

import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lava_1m1t1r import (
    StepParams,
    advisor,
    agreement,
    convolution,
    cuba,
    datasets,
    device,
    keys,
    plot,
    presets,
    quantisation,
    reference,
    reference_network,
)
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.device import crossbar, energy, stimulus
from lava_1m1t1r.device.chain import cascade
from lava_1m1t1r.device.circuit import output_current
from lava_1m1t1r.device.fitting import fit
from lava_1m1t1r.device.measurement import Measurement, read_csv, write_csv
from lava_1m1t1r.device.montecarlo import monte_carlo
from lava_1m1t1r.device.network import DeviceNetwork
from lava_1m1t1r.device.paper import figure_4ab
from lava_1m1t1r.errors import InputError, MissingDependencyError, array_of, number, told_least, told_most, whole, workers_of
from lava_1m1t1r.export import TARGETS, spice_neuron
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.fast.stream import Stream
from lava_1m1t1r.netx import hdf5, schema
from lava_1m1t1r.recipes import data, evaluate
from lava_1m1t1r.recipes.augment import Augmentation
from lava_1m1t1r.recipes.task import recipe
from lava_1m1t1r.report import Page

pytestmark = pytest.mark.timeout(600)  # the first call of a function compiles


class Nonsense:
    """Neither a number, a text nor a sequence."""


NONSENSE = {
    "none": None,
    "text": "nowhere/at/all",
    "empty text": "",
    "nul": "a\0b",
    "bytes": b"x",
    "object": Nonsense(),
    "class": Nonsense,
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "-1": -1,
    "0": 0,
    "half": 0.5,
    "huge": 1e300,
    "huge whole": 2**70,
    "large": 10**12,
    "complex": 1j,
    "true": True,
    "date": np.datetime64("2020"),
    "list": [1, "a"],
    "ragged": [[1], [1, 2]],
    "empty list": [],
    "dict": {"a": 1},
    "nan array": np.array([np.nan, 1.0]),
    "cube": np.zeros((2, 2, 2)),
    "empty array": np.zeros(0),
    "no rows": np.zeros((0, 3)),
    "objects": np.array([Nonsense(), None]),
    "texts": np.array(["a", "b"]),
    "complex array": np.array([1j]),
}
P = presets.ZHAO2025_FIG2
PULSE = stimulus.constant(0.5, 1e-3)
EVENTS = datasets.EventSet.from_utterances([([0.1, 0.2], [1, 2]), ([0.3], [5])], [0, 1], keys=("a", "b"))
NET = NetDescription((Layer(0, "dense", (2,), 3, np.full((2, 3), 64, np.int32), neuron=M1T1RNeuron(StepParams(P))),))
FRAMES = np.ones((1, 3, 3), np.uint8)
TONE = np.sin(np.arange(4000) / 3)
TASK = recipe("spoken-digits").replace(taps=(0,), channels=3, n_steps=5, classes=2)
EAR = datasets.InnerEar(n_channels=2)


_FOLDER = tempfile.TemporaryDirectory(prefix="edges-")  # gone with the process


def here(name):
    return str(Path(_FOLDER.name, name))


# name: function, arguments that are right. Nothing of "huge" or "large" may be taken where it would be counted up to.
CALLS = {
    "reference.run": (reference.run, dict(params=StepParams(P), a_in=np.ones((5, 2), int), fixed=True, seed=0, layer=0)),
    "reference_network.run": (reference_network.run, dict(net=NET, frames=FRAMES[0], fixed=True)),
    "device_layers": (reference_network.device_layers, dict(net=NET)),
    "Cells": (crossbar.Cells, dict(g_min=1e-6, g_max=1e-5, levels=4, programming_error=0.1, read_noise=0.1, v_read=0.2)),
    "Periphery": (crossbar.Periphery, dict(v_supply=1.0, amplifier_current=1e-7, line_capacitance=1e-15, register_energy=1e-14)),
    "DeviceNetwork": (DeviceNetwork, dict(net=NET, cells=crossbar.IDEAL, periphery=None, seed=0, rtol=3e-5)),
    "DeviceNetwork.run": (DeviceNetwork(NET).run, dict(frames=FRAMES, first=0)),
    "scaling": (energy.scaling, dict(own=energy.spike_energy(P, 0.9))),
    "output_current": (output_current, dict(p=P, v_gate=[0.1, 0.2])),
    "write_csv": (write_csv, dict(path=here("written.csv"), rows=figure_4ab()[:1])),
    "testbench": (spice_neuron.testbench, dict(p=P, durations=[1e-3], volts=[1.0])),
    "from_keys": (partial(keys.from_keys, where="file"), dict(keys=keys.to_keys(StepParams(P)))),
    "convolution.pair": (partial(convolution.pair, field="kernel"), dict(value=2)),
    "deploy_rtl": (TARGETS["rtl"], dict(net=NET, out_dir=here("rtl"), lanes=4, clock_hz=1e8)),
    "scaled": (P.scaled, dict(time=2.0)),
    "spread": (P.with_variation(0.2).spread, dict(n=3, seed=0)),
    "take": (P.with_variation(0.2).spread(3, 0).take, dict(n=1)),
    "StepParams": (StepParams, dict(device=P, dt=1e-3, substeps=4, v_unit=0.125, v_in_max=1.2)),
    "M1T1RNeuron": (partial(M1T1RNeuron, seed=0), dict(step=StepParams(P))),
    "StepParams.fixed": (StepParams(P).fixed, dict(size=3)),
    "StepParams.floating": (StepParams(P).floating, dict(size=3)),
    "Stimulus": (stimulus.Stimulus, dict(durations=[1e-3], volts=[1.0])),
    "constant": (stimulus.constant, dict(volt=1.0, duration=1e-3)),
    "train": (stimulus.train, dict(volt=1.0, width=1e-3, gap=1e-3, count=3)),
    "pulses": (stimulus.pulses, dict(volt=1.0, period=2e-3, duty=0.5, duration=1e-2)),
    "pair": (stimulus.pair, dict(volt=1.0, width=1e-3, gap=1e-3)),
    "held": (stimulus.held, dict(v_in=[1.0, 2.0], dt=1e-3)),
    "Stimulus.sampled": (PULSE.sampled, dict(dt=1e-4)),
    "Stimulus + other": (PULSE.__add__, dict(other=PULSE)),
    "Stimulus * times": (PULSE.__mul__, dict(times=2)),
    "simulate": (
        device.simulate,
        dict(p=P, v_in=np.full(9, 0.5), dt=1e-4, seed=0, record=("filament",), start=(0, 0, 0), rtol=1e-4, max_step=1e-3, first=0),
    ),
    "monte_carlo": (monte_carlo, dict(p=P, v_in=np.full(9, 0.5), n=2, dt=1e-4, seed=0, record="events")),
    "cascade": (cascade, dict(devices=[P, P], v_in=PULSE, dt=1e-4, seed=0)),
    "spike_energy": (energy.spike_energy, dict(p=P, volt=0.9, width=1e-3, gap=1e-3, limit=300)),
    "characterize": (device.characterize, dict(p=P, volt=0.9, width=1e-3, trials=10, seed=0)),
    "fit": (fit, dict(p=P, measurements=figure_4ab()[:2], free=("mu",), span=2.0, search=0, seed=0, rtol=1e-4)),
    "Measurement": (
        Measurement,
        dict(quantity="first_spike", volt=0.8, width=1e-3, gap=1e-3, count=3, value=1.0, tolerance=0.1, r_control=1e8),
    ),
    "read_csv": (read_csv, dict(path=here("none.csv"))),
    "EventSet": (
        datasets.EventSet,
        dict(times=[0.1], units=[1], offsets=[0, 1], labels=[0], speakers=[0], keys=("a",), n_channels=700, speaker_names=("x",)),
    ),
    "from_utterances": (datasets.EventSet.from_utterances, dict(spikes=[([0.1], [1])], labels=[0], speakers=[0])),
    "of_speakers": (lambda who: EVENTS.of_speakers(who), dict(who=-1)),
    "frames": (datasets.frames, dict(events=EVENTS, dt=1e-2, n_steps=10, channels=70, clip=1)),
    "binned_events": (datasets.binned_events, dict(events=EVENTS, dt=1e-2, n_steps=10, channels=70, clip=1)),
    "cropped_share": (datasets.cropped_share, dict(events=EVENTS, dt=1e-2, n_steps=10)),
    "read_shd": (datasets.read_shd, dict(path=here("none.h5"), n_channels=700, n_classes=20)),
    "write_shd": (datasets.write_shd, dict(path=here("written.h5"), events=EVENTS, meta={"a": "b"})),
    "shd": (datasets.shd, dict(folder=here("none"), train=True)),
    "InnerEar": (datasets.InnerEar, dict(seed=0, n_channels=70, level=0.3, ramp=0.03)),
    "InnerEar()": (EAR, dict(audio=TONE, rate=16000, index=0)),
    "InnerEar.encode": (EAR.encode, dict(utterances=[(TONE, 16000)], threads=1, progress=None, total=1)),
    "read_wav": (datasets.read_wav, dict(path=here("none.wav"))),
    "wav_folder": (datasets.wav_folder, dict(path=here("none"), speaker_of=None, ear=EAR)),
    "read": (schema.read, dict(path=here("none.net"))),
    "write": (schema.write, dict(path=here("written.net"), net=NET)),
    "predict": (hdf5.predict, dict(net=NET, frames=FRAMES, backend="fast", tag="fixed_pt", record=None, dt=1e-3, threads=1, timeout=10.0)),
    "FastNetwork": (FastNetwork, dict(net=NET, floating=False)),
    "FastNetwork.run": (FastNetwork(NET).run, dict(frames=FRAMES, record=None, threads=1)),
    "Stream": (Stream, dict(network=NET)),
    "Stream.step": (Stream(NET).step, dict(frame=FRAMES[0, 0])),
    "head": (NET.head, dict(layers=1)),
    "with_variation": (P.with_variation, dict(level=0.1)),
    "advise": (advisor.advise, dict(params=StepParams(P), weights=np.full((2, 3), 64), a_in=np.ones((1, 5, 2), int), steps=20)),
    "quantise_network": (quantisation.quantise_network, dict(net=NET, samples=FRAMES, names=["first"])),
    "agreement": (agreement.agreement, dict(first=np.zeros((5, 2), bool), second=np.zeros((5, 2), bool))),
    "memory_steps": (cuba.memory_steps, dict(current_decay=0.2, voltage_decay=0.1)),
    "device_for": (cuba.device_for, dict(current_decay=0.2, voltage_decay=0.1, dt=1e-2, device=P, refractory=0.1)),
    "working_point": (
        cuba.working_point,
        dict(step=StepParams(P), a_in=np.arange(10.0).reshape(1, 5, 2), spikes=np.zeros((1, 5, 2)), spread=0.1),
    ),
    "raster": (plot.raster, dict(spikes=np.zeros((5, 2)), dt=1.0, ax=None)),
    "states": (plot.states, dict(time=[0.0, 1.0], values={"a": [1.0, 2.0]}, ax=None, scale=None)),
    "isi_histogram": (plot.isi_histogram, dict(spike_times=[0.0, 1.0, 3.0], ax=None, bins=4, label=None)),
    "hysteresis": (plot.hysteresis, dict(voltage=[0.0, 1.0], current=[0.0, 1.0], ax=None)),
    "beside": (plot.beside, dict(x=[0.0, 1.0], measured=[0.0, 1.0], simulated=[0.0, 1.0], ax=None, tolerance=None)),
    "confusion": (plot.confusion, dict(counts=np.eye(2), labels=("a", "b"), ax=None)),
    "energy_split": (plot.energy_split, dict(parts={"a": 1.0}, ax=None)),
    "Page": (Page, dict(title="a", lead="b")),
    "deploy_c": (TARGETS["c"], dict(net=NET, out_dir=here("c"), frames=FRAMES)),
    "frames_of": (data.frames_of, dict(events=EVENTS, task=TASK)),
    "steps_for": (data.steps_for, dict(events=EVENTS, task=TASK)),
    "evaluate": (evaluate.evaluate, dict(net=NET, test=data.frames_of(EVENTS, TASK))),
    "with_varied_devices": (evaluate.with_varied_devices, dict(net=NET, level=0.1, seed=0)),
    "recipe": (recipe, dict(name="shd")),
    "Augmentation": (Augmentation, dict(time_shift=2, channel_shift=10, stretch=0.1, channel_jitter=1.0, drop=0.1)),
    "load": (data.load, dict(source=here("none.h5"))),
}
LONG = {("characterize", "trials"): {"large"}, ("load", "source"): {"none"}}  # right, and work for minutes
WRITES = {("deploy_c", "out_dir"), ("deploy_rtl", "out_dir")}  # some nonsense is a good name for a folder
REAL = {"-1", "0", "half", "huge", "huge whole", "large"}
NOT_NEGATIVE = REAL - {"-1"}
POSITIVE = NOT_NEGATIVE - {"0"}
FITTING = {"half"}  # positive, and bounded by what else is given
SHARE = {"0", "half"}
WHOLE = {"0", "large"}
OPTIONAL = {"none"}
TEXT = {"text", "empty text", "nul"}
NO_ROWS = {"empty list", "empty array", "no rows"}
SOME_LEGAL: list[tuple[set[str], str]] = [
    ({"true"}, "reference.run fixed; reference_network.run fixed; FastNetwork floating"),
    (REAL, "constant volt; train volt; pulses volt; pair volt"),
    (REAL - {"huge whole"}, "Stimulus volts"),  # numpy has no such integers, and makes objects of them
    (NOT_NEGATIVE, "Periphery v_supply amplifier_current line_capacitance register_energy"),
    (POSITIVE, "Cells g_max v_read; deploy_rtl clock_hz; scaled time; StepParams dt v_unit; constant duration; train width gap"),
    (POSITIVE, "pulses period; pair width gap; held dt; Stimulus.sampled dt; Measurement volt width gap value tolerance"),
    (POSITIVE, "frames dt; binned_events dt; cropped_share dt"),
    (POSITIVE - {"huge whole"}, "Stimulus durations"),
    (POSITIVE | OPTIONAL, "predict timeout; raster dt"),
    (POSITIVE | {"inf"}, "simulate max_step"),
    (POSITIVE | {"nan"}, "Measurement r_control"),  # nan: the device's own
    (POSITIVE - {"huge"} | OPTIONAL, "device_for refractory"),
    (NOT_NEGATIVE - {"huge whole"} | OPTIONAL | {"true"}, "beside tolerance"),
    ({"-1", "0", "half", "huge", "large", "true", "cube"} | NO_ROWS, "output_current v_gate"),  # of any shape
    (FITTING, "StepParams v_in_max; pulses duty duration; simulate dt; monte_carlo dt; cascade dt; InnerEar level; working_point spread"),
    (FITTING, "memory_steps current_decay voltage_decay; device_for current_decay voltage_decay dt"),
    (FITTING | OPTIONAL, "spike_energy width"),
    (SHARE, "Cells programming_error read_noise; with_variation level; with_varied_devices level"),
    (SHARE, "Augmentation stretch channel_jitter drop"),
    (WHOLE, "DeviceNetwork seed; DeviceNetwork.run first; spread seed; simulate first; monte_carlo seed; cascade seed; characterize seed"),
    (WHOLE, "InnerEar seed; InnerEar() index; with_varied_devices seed"),
    (WHOLE | OPTIONAL, "simulate seed"),
    (WHOLE | {"-1"}, "convolution.pair value"),
    (WHOLE - {"0"} | {"inf"}, "Cells levels"),  # inf: any conductance
    (WHOLE - {"0"} | OPTIONAL, "head layers"),
    ({"0"}, "reference.run seed layer; fit search seed; InnerEar ramp; Augmentation time_shift channel_shift"),
    ({"0"} | OPTIONAL, "InnerEar.encode total"),
    ({"0", "-1"}, "take n"),
    ({"-1"}, "of_speakers who; InnerEar.encode threads"),
    ({"-1"} | OPTIONAL, "predict threads; FastNetwork.run threads"),
    (OPTIONAL, "DeviceNetwork periphery; spike_energy gap; characterize volt width; from_utterances speakers; write_shd meta"),
    (OPTIONAL, "frames n_steps channels clip; binned_events n_steps channels clip; predict tag record dt; FastNetwork.run record"),
    (OPTIONAL, "advise weights a_in steps; quantise_network samples names; deploy_c frames; raster ax; states ax; isi_histogram ax"),
    (OPTIONAL, "hysteresis ax; beside ax; confusion ax; energy_split ax"),
    (TEXT, "Page title lead"),
    (TEXT | OPTIONAL, "InnerEar.encode progress; isi_histogram label"),
    (NO_ROWS, "simulate record; monte_carlo record; write_csv rows"),
    (NO_ROWS | {"ragged"}, "isi_histogram spike_times"),  # "ragged": two neurons
    ({"no rows"}, "raster spikes"),
    ({"empty list"}, "EventSet keys speaker_names; InnerEar.encode utterances; confusion labels"),
    ({"nan array"}, "states time; beside x measured simulated"),  # gaps in a line
    ({"dict"}, "energy_split parts"),
    ({"dict"} | OPTIONAL, "states scale"),
]
LEGAL = {(words.split()[0], field): values for values, calls in SOME_LEGAL for words in calls.split("; ") for field in words.split()[1:]}
"""What is right by chance, by function and argument. Every other value is refused."""
CASES = [(name, field) for name, (_, right) in CALLS.items() for field in right if (name, field) not in WRITES]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "field"), CASES, ids=[f"{n}-{f}" for n, f in CASES])
def test_nonsense_is_refused(name, field):
    function, right = CALLS[name]
    legal = LEGAL.get((name, field), set())
    for label, value in NONSENSE.items():
        if label in LONG.get((name, field), ()):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                function(**{**right, field: value})
            except MissingDependencyError as error:
                assert "needs" in str(error), f"{label}: {error}"
            except InputError as error:
                assert " must " in str(error) and label not in legal, f"{label}: {error}"
            else:
                assert label in legal, f"{label} was taken"


def test_what_is_legal_is_said_of_arguments_that_there_are():
    assert set(LEGAL) <= set(CASES) and set().union(*LEGAL.values()) <= set(NONSENSE)


def test_simulations_that_would_not_end_are_refused():
    with pytest.raises(InputError, match="duration .* Simulate it in parts"):
        device.simulate(P, np.full(10, 0.5), dt=1e9)
    with pytest.raises(InputError, match="simulate.max_step"):
        device.simulate(P, np.full(10, 0.5), dt=1e-3, max_step=1e-300)
    with pytest.raises(InputError, match="at most 1000 V"):
        device.simulate(P, [1e6], dt=1e-3)
    with pytest.raises(InputError, match="at most 1000 V either way"):
        device.simulate(P, [-1e6], dt=1e-3)


def test_integers_do_not_wrap_and_floats_are_not_cut():
    good = dict(times=[0.1], units=[1], offsets=[0, 1], labels=[0], speakers=[0])
    for field, value, text in (
        ("units", [-1], "units must lie in 0..65535"),
        ("units", [70000], "units must lie in 0..65535"),
        ("units", [700], r"units must lie in 0..699; got 700"),
        ("labels", [0.5], "labels must hold whole numbers"),
        ("labels", [np.nan], "labels must hold whole numbers"),
        ("labels", [-1], "labels must be >= 0; got -1"),
        ("times", [-0.5], "times must be finite and >= 0 s; got -0.5"),
        ("times", [np.nan], "times must be finite and >= 0 s; got nan"),
        ("times", [1e39], "times must be finite and >= 0 s; got inf"),
    ):
        with pytest.raises(InputError, match=text):
            datasets.EventSet(**{**good, field: value})


def test_folders_to_write_are_paths():
    for value in (None, 1, b"x", "", "a\0b", "a" * 300, "~nobody-of-this-name/x", ["a"]):
        with pytest.raises(InputError, match="output folder must be a path"):
            TARGETS["c"](NET, value)
        if not isinstance(value, str) or not value.startswith("~"):
            with pytest.raises(InputError, match="path must be a path"):
                Page("title").save(value)


def test_more_classes_than_outputs_are_told():
    test = data.frames_of(datasets.EventSet.from_utterances([([0.1], [1])], [7]), TASK)
    with pytest.raises(InputError, match=r"labels must lie in 0\.\.1, one for each output of the network; got 7"):
        evaluate.evaluate(NET, test)


@pytest.mark.parametrize("name", ["x" * 300, "\ud800"])
def test_names_that_no_file_can_have(name):
    for reader in (datasets.read_shd, datasets.read_wav, schema.read, read_csv, datasets.wav_folder):
        with pytest.raises(InputError, match="be a path of names of at most 255 bytes"):
            reader(name)


@pytest.mark.parametrize("path", ["/".join(["\u00e9" * 100] * 30), "/".join(["e" * 200] * 30)])
def test_paths_that_no_file_can_have(path):
    """In bytes, of which Linux takes 4095."""
    with pytest.raises(InputError, match="path must be a path"):
        schema.read(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_numbers_of_numpy_are_numbers_and_its_infinity_is_none(kind):
    """numpy 2 rounds the bounds that they are compared with to their own width."""
    assert number(kind(0.5), "x", above=0.0, most=1e300) == 0.5 and whole(kind(3), "x") == 3 and workers_of(kind(2), "x") == 2
    for wrong in (kind("inf"), kind("nan"), kind("-inf")):
        for check in (number, whole, workers_of):
            with pytest.raises(InputError, match="x must be"):
                check(wrong, "x")
    with pytest.raises(InputError, match="x must be a finite number and <= 1e"):
        number(kind("inf"), "x", most=1e6)
    assert StepParams(presets.ZHAO2025_FIG2, dt=kind(2**-10)).dt == 2**-10


@pytest.mark.parametrize("value", [np.datetime64(5, "ns"), np.timedelta64(5, "ns"), np.str_("5"), np.bool_(True)])
def test_what_numpy_holds_besides_numbers_is_none(value):
    for check in (number, whole, workers_of):
        with pytest.raises(InputError, match="x must be"):
            check(value, "x")


def test_a_list_in_itself_is_no_array():
    value = [0.5]
    value.append(value)
    with pytest.raises(InputError, match="x must hold real numbers"):
        array_of(value, "x")


def test_an_array_of_one_number_is_not_shown_as_that_number():
    with pytest.raises(InputError, match=r"x must be a finite number and > 0; got array\(0.5\)"):
        number(np.array(0.5), "x", above=0.0)


@pytest.mark.parametrize("value", [np.float64(2**63), 2**63, np.uint64(2**63)])
def test_whole_numbers_end_where_64_bits_do(value):
    """They were said to be ">= 0", which these are."""
    with pytest.raises(InputError, match="x must be a whole number from 0 to 9223372036854775807; got 9"):
        whole(value, "x")


@settings(max_examples=200)
@example(0.0014649999, 3)
@given(st.floats(1e-300, 1e300), st.integers(1, 6))
def test_bounds_that_are_told_will_do(bound, digits):
    least, most = float(told_least(bound, digits)), float(told_most(bound, digits))
    coarse = 1.001 * 10.0 ** (1 - digits)
    assert bound <= least <= bound * (1 + coarse) and bound * (1 - coarse) <= most <= bound
    assert (told_least(0.1, digits), told_most(0.1, digits)) == ("0.1", "0.1")


@pytest.mark.parametrize("name", ["dt", "slower", "refractory", "v_unit", "learning_rate", "smooth", "spike_limit", "spike_cost"])
def test_tasks_beyond_any_sense_are_refused(name):
    with pytest.raises(InputError, match=f"Task.{name} must be a finite number .* <= "):
        TASK.replace(**{name: 1e300})


def test_neurons_of_a_device_alone_lack_their_step():
    with pytest.raises(InputError, match=r"M1T1RNeuron.step must be StepParams; got DeviceParams.* Make them: StepParams\(device\)."):
        M1T1RNeuron(P)


def test_what_a_layer_lacks_is_told():
    layer = Layer(3, "flatten", (4,), 4)
    net = NetDescription((Layer(0, "dense", (2,), 4, np.ones((2, 4), np.int32)),))
    for ask, text in (
        (lambda: layer.own_weight, r"layer/3 \(flatten\) must have weights; got None"),
        (lambda: layer.own_delay, r"layer/3 \(flatten\) must have delays; got None"),
        (lambda: layer.m1t1r, r"layer/3 \(flatten\) must have 1M1T1R neurons, with StepParams; got None"),
        (lambda: net.stated_dt, "network must have a layer of 1M1T1R neurons, which states the network step; got \\['dense'\\]"),
    ):
        with pytest.raises(InputError, match=text):
            ask()


@pytest.mark.parametrize("backend", hdf5.BACKENDS)
def test_numbers_of_threads_are_checked_whatever_runs(backend):
    for threads in (0, "two"):
        with pytest.raises(InputError, match="threads must be a number of threads"):
            hdf5.predict(NET, FRAMES, backend=backend, threads=threads)
