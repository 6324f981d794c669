"""The demo: what it trains, tells and draws, and the energies that it states."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from words import spoken, toy

from lava_1m1t1r import presets
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import schema
from lava_1m1t1r.recipes import SHIPPED_NETWORK
from lava_1m1t1r.recipes.augment import Augmentation
from lava_1m1t1r.recipes.task import RECIPES, Task

pytest.importorskip("lightning", reason="training needs lightning (extra lava)")
pytestmark = pytest.mark.train


def test_the_demo_wants_a_folder_before_it_trains():
    from lava_1m1t1r.recipes.demo import demo

    with pytest.raises(InputError, match="folder must be a path; got 5"):
        demo(toy()[0], None, 5)


def test_values_of_the_training_forward_that_differ_are_counted_in_every_batch(tmp_path):
    from lava_1m1t1r.recipes import demo, network

    task, frames = toy()
    net = network.m1t1r(task).eval()
    net.export(tmp_path / "a.net")
    fixed = FastNetwork(schema.read(tmp_path / "a.net")).run(frames.dense(), record="spikes")
    assert fixed.spike_count > 0 and demo.forward_differs(net, frames, fixed, batch=7) == 0
    fixed.layers[-1].out[[3, 9, 23], 0, 0] += 1
    assert demo.forward_differs(net, frames, fixed, batch=7) == demo.forward_differs(net, frames, fixed) == 3


def test_the_demos_other_network_learns_at_its_own_rate_in_a_folder_of_its_own(tmp_path, monkeypatch):
    import torch

    from lava_1m1t1r.recipes import CUBA_FILE, demo, fit, network

    asked, task = [], toy()[0]
    net = SimpleNamespace(eval=lambda: asked.append("eval"), export=lambda *given: asked.append(given))
    monkeypatch.setattr(network, "cuba", lambda _task: net)
    monkeypatch.setattr(fit, "fit", lambda *given, **options: asked.append((given, options, torch.get_num_threads())))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        demo._train_cuba(task, "frames", tmp_path, ("a", "b"), True)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    options = {"augmentation": Augmentation.suiting(task), "resume": True}
    trained = ((net, task.replace(learning_rate=network.CUBA_LEARNING_RATE), "frames", tmp_path / "cuba"), options, 1)
    assert asked == [trained, "eval", (tmp_path / CUBA_FILE, ("a", "b"))]


def test_the_demo_trains_with_what_suits_its_data(tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import data, demo, fit

    pytest.importorskip("matplotlib")
    asked, heard = [], spoken((6, 6))
    split = data.Split(heard.of_speakers(0), heard.of_speakers(1), "words", "speaker 1")
    task = data.fitted(RECIPES["recordings"].replace(hidden=4), split)

    def fitted(*_, **options):
        asked.append(options)
        raise InputError("enough seen")

    monkeypatch.setattr(fit, "fit", fitted)
    with pytest.raises(InputError, match="enough seen"):
        demo.demo(task, split, tmp_path, resume=True)
    assert asked == [{"augmentation": Augmentation.suiting(task), "resume": True}]


@pytest.mark.parametrize("resume", [True, False])
def test_a_demo_that_starts_afresh_leaves_no_checkpoint_of_another_to_go_on_from(resume, tmp_path, monkeypatch):
    """Ended before it came to CUBA and resumed, it trained its first network to the end, and was refused at an earlier run's CUBA."""
    from lava_1m1t1r.recipes import CHECKPOINT_FILE, data, demo, fit

    pytest.importorskip("matplotlib")

    def ended(*_, **_options):
        raise KeyboardInterrupt

    heard, of_cuba = spoken((6, 6)), tmp_path / "cuba" / CHECKPOINT_FILE
    split = data.Split(heard.of_speakers(0), heard.of_speakers(1), "words", "speaker 1")
    of_cuba.parent.mkdir()
    of_cuba.write_text("of an earlier run")
    monkeypatch.setattr(fit, "fit", ended)
    with pytest.raises(KeyboardInterrupt):
        demo.demo(data.fitted(RECIPES["recordings"].replace(hidden=4), split), split, tmp_path, resume=resume)
    assert of_cuba.exists() == resume


def test_a_network_that_the_demo_cannot_write_leaves_the_earlier_report(tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import data, demo, fit

    pytest.importorskip("matplotlib")

    def diverged(net, *_, **__):
        net.blocks[-1].synapse.weight.data[:] = np.nan
        return SimpleNamespace(curve=[])

    heard = spoken((6, 6))
    split = data.Split(heard.of_speakers(0), heard.of_speakers(1), "words", "speaker 1")
    for name in ("results.json", "report.html"):
        (tmp_path / name).write_text("of an earlier run")
    monkeypatch.setattr(fit, "fit", diverged)
    with pytest.raises(InputError, match="nan"):
        demo.demo(data.fitted(RECIPES["recordings"].replace(hidden=4), split), split, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "results.json"]


def test_the_demo_states_energies_of_its_spikes_and_of_the_slowed_down_device():
    from lava_1m1t1r.device.energy import spike_energy
    from lava_1m1t1r.recipes import page

    task = toy()[0]
    one = spike_energy(task.measured, float(task.measured.v_ref), 1e-3)
    found = page.energy_of(task.measured, task.slower, 250.0)
    for name, joule in (
        ("spike_memristor_branch", one.input_to_pulse_end),
        ("spike_total", one.total),
        ("spike_slowed_down", task.slower * one.input_to_pulse_end),  # by a gate that is as much larger
        ("spike_slowed_down_total", task.slower * one.total),
        ("utterance_memristor_branch", 250 * one.input_to_pulse_end),
    ):
        assert found[f"joule_per_{name}"] == pytest.approx(joule, rel=0.02, abs=0), name
    assert found["text"].startswith("250 spikes per utterance, at 4.61 pJ each") and "give 1153 pJ" in found["text"]
    assert "would need 184 pJ per spike and 46.1 nJ per utterance" in found["text"]
    assert f"would add {task.slower * one.supply * 1e12:.0f} pJ per spike" in found["text"]
    assert "pulses of 0.001 s (0.04 s for" in found["assumptions"]


@pytest.mark.parametrize(
    ("device", "slower", "spikes", "words"),
    [
        ("FIG2", 40.0, 0.4, ("0.4 spikes per utterance, at 4.61 pJ each", "give 1.84 pJ", "184 pJ per spike and 0.0738 nJ")),
        ("TABLE8", 1e6, 999.7, ("1000 spikes per utterance, at 2.59e-06 pJ each", "give 0.00259 pJ", "2.59 pJ per spike and 2.59 nJ")),
    ],
)
def test_energies_of_any_size_have_three_digits(device, slower, spikes, words):
    from lava_1m1t1r.recipes import page

    text = page.energy_of(getattr(presets, f"ZHAO2025_{device}"), slower, spikes)["text"]
    assert [part for part in words if part not in text] == []


def test_the_energy_is_that_of_the_device_modelled_or_of_the_median_one_without_noise():
    from lava_1m1t1r.recipes import page

    task = Task("t", refractory=3.0)
    device, slower = page._device(SimpleNamespace(task=task))
    assert (device.mu, device.r_control, slower) == pytest.approx((task.measured.mu, 3 * task.measured.r_control, 40.0))
    own = dataclasses.replace(presets.ZHAO2025_FIG2, mu=np.array([80.0, 90.0, 130.0]), sigma1=0.01)
    net = SimpleNamespace(active=[SimpleNamespace(m1t1r=SimpleNamespace(step=SimpleNamespace(device=own)))])
    device, slower = page._device(SimpleNamespace(task=None, net=net))
    assert (device.mu, device.sigma1, slower) == (90.0, 0.0, 1.0)


def test_the_page_explains_the_sizes_of_the_network():
    from lava_1m1t1r.recipes import page

    net = schema.read(SHIPPED_NETWORK)
    said = page._lead(SimpleNamespace(net=net, task=None, is_ours=True))
    assert said.startswith("Network 140x4-128R-20: input channels (x4: with so many delays each), neurons of each layer (R: recurrent), ")
    said = page._lead(SimpleNamespace(net=SimpleNamespace(sizes="8-4", delay_lines=None), task=None, is_ours=False))
    assert said == "Network 8-4: input channels, neurons of each layer (R: recurrent), outputs."


def test_the_demo_shows_the_busiest_of_the_utterances_that_are_answered_rightly(monkeypatch):
    from lava_1m1t1r.recipes import page

    spikes, out = np.zeros((4, 3, 2), np.uint8), np.zeros((4, 3, 2), np.uint8)
    for utterance, (fired, answer) in enumerate(((1, 0), (2, 1), (3, 0), (0, 1))):
        spikes[utterance, :fired], out[utterance, 0, answer] = 1, 1
    shown, said = [], []
    monkeypatch.setattr(page, "FastNetwork", lambda _net: SimpleNamespace(run=lambda frames, record: None))
    monkeypatch.setattr(page, "figures", SimpleNamespace(rasters=lambda *_: None, neuron_states=lambda *_: None))
    step = SimpleNamespace(dt=1e-2)
    found = SimpleNamespace(
        fixed=SimpleNamespace(layers=[SimpleNamespace(spikes=spikes)], out=out),
        test=SimpleNamespace(labels=np.array([0, 1, 1, 1]), dense=shown.append),
        keys=("no", "yes"),
        net=SimpleNamespace(active=[SimpleNamespace(m1t1r=SimpleNamespace(step=step))]),
    )
    report = SimpleNamespace(section=lambda *words: said.append(words), figure=lambda *_: None)
    page._one_utterance(report, found)
    assert shown == [[1]] and said == [("One utterance", "Its class is 'yes', and the answer 'yes'.")]
    found.test.labels[:3] = 1, 0, 1
    page._one_utterance(report, found)
    assert shown[1:] == [[3]]  # the only right one, without a spike


def test_the_demos_results_name_its_data_and_its_chance():
    from lava_1m1t1r.recipes import demo, page

    task, frames = toy()
    task = task.replace(classes=4)
    result, worked = SimpleNamespace(as_dict=lambda: {"accuracy": 0.75}), SimpleNamespace(energy={}, advice=SimpleNamespace(as_dict=dict))
    baseline = SimpleNamespace(accuracy=0.5, spikes=90.0)
    found = page.Found(None, "words", "ann", dataclasses.replace(frames, cropped=0.125), result, None, task, baseline, 0.25)
    numbers = demo.numbers_of(found, worked, task, 7)
    expected = {"data": "words", "held_out": "ann", "train_utterances": 7, "test_utterances": 24, "accuracy": 0.75, "chance": 0.25}
    expected |= {"same_answer_lava": 0.25, "cuba_accuracy": 0.5, "cuba_spikes": 90.0, "cropped_share": 0.125}
    assert {name: numbers[name] for name in expected} == expected and numbers["task"]["classes"] == 4
    without = demo.numbers_of(found._replace(baseline=None), worked, task, 7)
    assert without["cuba_accuracy"] is None is without["cuba_spikes"]


def test_a_reports_energy_names_the_load():
    from lava_1m1t1r.recipes.page import energy_of

    device = presets.ZHAO2025_FIG2
    assert f"({device.r_load / 1e3:.3g} kOhm at" in energy_of(device, 40.0, 100.0)["text"]
