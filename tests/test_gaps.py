"""What the files of single modules left open, as mutants of the code showed: over each test, the module's file and what went unnoticed."""

from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r.advisor import _recorded
from lava_1m1t1r.answers import of_each, over_time, ties
from lava_1m1t1r.datasets import EventSet, made_data, read_shd, write_shd
from lava_1m1t1r.datasets.binning import BinnedEvents, cropped_share
from lava_1m1t1r.datasets.made_data import _digest
from lava_1m1t1r.datasets.spoken_digits import utterances
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export import output
from lava_1m1t1r.export.c_source import history_bits
from lava_1m1t1r.export.plan import plan
from lava_1m1t1r.fast import FastNetwork, LayerRecord, Result, Stream
from lava_1m1t1r.quantisation import quantise
from lava_1m1t1r.recipes.data import Frames, Split, frames_of, names_of, numbered_as, steps_for
from lava_1m1t1r.recipes.start import _delays_heard, start
from lava_1m1t1r.recipes.task import Task
from lava_1m1t1r.reference_network import run as run_loops

FIG2 = presets.ZHAO2025_FIG2


def fast_net(readout=False, channels=3, neurons=5):
    """A layer of odd size, and sums of it."""
    weight = np.full((neurons, channels), 250, np.int32)
    layers = [Layer(0, "dense", (neurons,), channels, weight, neuron=M1T1RNeuron(StepParams(FIG2)))]
    if readout:
        layers.append(Layer(1, "affine", (2,), neurons, np.full((2, neurons), 40, np.int32)))
    return NetDescription(tuple(layers))


# test_fast.py: reset() keeps the number of steps
def test_a_stream_that_was_reset_counts_its_steps_anew():
    stream = Stream(fast_net())
    stream.step(np.zeros(3, int))
    stream.reset()
    assert stream.steps == 0 and repr(stream).endswith("after 0 steps)")


# test_fast.py: the delay lines behind a layer without their type
@pytest.mark.parametrize("readout", [False, True])
def test_a_streams_output_has_the_type_of_the_batchs(readout):
    fast = FastNetwork(fast_net(readout))
    stream, kind = Stream(fast), fast.run(np.ones((1, 2, 3), int)).out.dtype
    assert kind == (np.int32 if readout else np.uint8) and stream.step(np.ones(3, int)).dtype == kind
    assert readout or stream.due().dtype == kind


# test_fast.py: the frame's shape is no longer asked
def test_a_stream_takes_one_step_at_a_time():
    for frame in (np.zeros((1, 3), int), np.zeros((3, 1), int), np.int64(0)):
        with pytest.raises(InputError, match=r"frame must have shape \(C,\): one step; got \("):
            Stream(fast_net()).step(frame)


# test_fast.py: arrays for what nobody asked to be kept
def test_nothing_is_kept_that_nobody_asked_for():
    fast, x = FastNetwork(fast_net(readout=True)), np.ones((2, 4, 3), int)
    kept = fast.run(x, record="spikes").layers[0]
    assert kept.spikes.shape == (2, 4, 5) and {state.shape for state in kept.states.values()} == {(2, 0, 5)}
    hidden, last = (layer.empty(2, 4, None, layer is fast.layers[-1]) for layer in fast.layers)
    assert hidden.out.shape == hidden.spikes.shape == (2, 0, 5) and last.out.shape == (2, 4, 2)


# test_fast.py: the bias of a layer of one weight for all, which Lava adds to the current
def test_the_bias_of_cuba_input_neurons_goes_into_the_current():
    neuron = CubaNeuron(4096, 4096, 1 << 16)  # nothing is kept from step to step
    layer = Layer(0, "input", (3,), 3, np.array([4], np.int32), bias=np.array([10, 20, -30], np.int32), neuron=neuron)
    states = FastNetwork(NetDescription((layer,))).run(np.ones((1, 2, 3), int), "all").layers[0].states
    assert states["u"].tolist() == states["v"].tolist() == [[[14 << 6, 24 << 6, -26 << 6]] * 2]
    layer = replace(layer, kind="dense", weight=np.eye(3, dtype=np.int32) * 4)
    states = FastNetwork(NetDescription((layer,))).run(np.ones((1, 2, 3), int), "all").layers[0].states
    assert states["u"].tolist() == [[[4 << 6] * 3] * 2] and states["v"].tolist() == [[[14 << 6, 24 << 6, -26 << 6]] * 2]


# test_fast.py: threads that write into each other's input
@pytest.mark.parametrize("floating", [False, True])
def test_layers_in_use_share_nothing_that_is_written(floating):
    layer = FastNetwork(fast_net(), floating).layers[0]
    written = [[*run.neuron.state, run.neuron.generator, run.neuron.v_in, *run.memory] for run in (layer.start(), layer.start())]
    assert not any(np.shares_memory(a, b) for a, b in zip(*written, strict=True))


# test_fast.py: spikes that were not recorded, as in Lava, count as none
def test_spikes_of_a_layer_that_were_not_recorded_are_not_counted():
    out = np.ones((1, 2, 3), np.uint8)
    readout = LayerRecord(out.astype(np.int32), None, {})
    assert Result(readout.out, (LayerRecord(out, out, {}), readout)).spike_count == 6
    with pytest.raises(InputError, match="hold the spikes that are counted"):
        _ = Result(readout.out, (LayerRecord(out, None, {}), readout)).spike_count


# test_fast.py: noise that stops while nothing arrives
def test_noise_goes_on_while_nothing_arrives():
    step = StepParams(replace(FIG2, sigma1=1e-3, sigma2=1e-3))
    layer = Layer(0, "dense", (5,), 3, np.full((5, 3), 250, np.int32), neuron=M1T1RNeuron(step, 5))
    net, x = NetDescription((layer,)), np.zeros((1, 40, 3), int)
    x[:, :10] = x[:, 30:] = 1
    found, loops = FastNetwork(net).run(x, "all").layers[0], run_loops(net, x[0])[0].traces
    assert np.ptp(found.states["residue"][0, 29]) > 0 and np.array_equal(found.spikes[0], loops.spike)
    for name, field in (("filament", "filament"), ("residue", "residue"), ("v_gate", "gate")):
        assert np.array_equal(found.states[name][0], getattr(loops, field)), name


# test_answers.py: sums over time of sums that are near the end of their 32 bits, and of halves
def test_sums_over_time_are_wider_than_the_outputs():
    assert over_time(np.full((1, 3, 2), 2**30, np.int32)).tolist() == [[3 * 2**30] * 2]
    assert over_time(np.array([[2.0**30], [1.0]], np.float32)).tolist() == [2.0**30 + 1]


# test_answers.py: a draw of two is no tie
def test_two_equal_sums_are_a_tie():
    assert ties(np.array([[1, 3, 3], [3, 3, 3], [1, 2, 3]])) == 2


# test_answers.py: speakers in falling order, with the sizes of those in rising order
def test_utterances_of_each_speaker():
    assert [own.tolist() for own in of_each(np.array([7, 2, 7, 7, 2, -1]))] == [[5], [1, 4], [0, 2, 3]]
    assert all(np.all(np.diff(own) > 0) for own in of_each(np.arange(1000) % 7 % 2))  # in rising order, however many


# test_quantisation.py: the smallest error of a threshold, in place of the largest
def test_the_threshold_error_is_the_largest_of_all_neurons():
    lsb = StepParams(FIG2).gate_lsb
    v_th = np.array([3000.0, 3000.25, 3000.4]) * lsb
    assert quantise(StepParams(replace(FIG2, v_th=v_th)), 3).threshold_error == pytest.approx(0.4 * lsb, rel=1e-6)


# test_quantisation.py: a growth that is too small counts as less than no error
def test_the_error_of_the_growth_has_no_sign():
    errors = [quantise(StepParams(replace(FIG2, mu=mu)), 1).rates[-1].error for mu in FIG2.mu * np.linspace(0.9, 1.1, 12)]
    assert min(errors) > 0


# test_quantisation.py: mantissas of gains without their exponents
def test_gains_of_one_mantissa_are_told_apart_by_their_exponents():
    found = quantise(StepParams(replace(FIG2, mu=FIG2.mu * np.array([1.0, 2.0]))), 2).duplicates
    assert found["gain"] == found["all"] == 0


def events_of(times, speakers=(0,), n_channels=700, **more):
    """One spike in each utterance."""
    spikes = [(np.array([t], np.float32), np.array([n_channels - 1])) for t in times]
    return EventSet.from_utterances(spikes, [0] * len(spikes), list(speakers), n_channels=n_channels, **more)


# test_datasets.py: spikes of the first bin that is left out are not looked at, where there are many bins
@pytest.mark.parametrize("steps", [1, 10, 2000, 100_000])
def test_the_first_bin_beyond_the_frames_is_cropped(steps):
    times = np.array([steps - 0.5, steps, steps + 0.25]) * 2.0**-10
    assert cropped_share(events_of(times, (0, 0, 0)), 2.0**-10, steps) == pytest.approx(2 / 3)


# test_datasets.py: 2^16 in sixteen bits
@pytest.mark.parametrize("most", [2**16 - 1, 2**16, 2**31 - 1])
def test_numbers_of_speakers_are_stored_whole(tmp_path, most):
    path = write_shd(tmp_path / "some.h5", events_of([0.5, 0.5], (0, most)))
    assert read_shd(path).speakers.tolist() == [0, most]


# test_datasets.py: numbers of channels from 2^15 on
@pytest.mark.parametrize("channels", [1, 2**15, 2**16])
def test_numbers_of_channels_are_stored_whole(tmp_path, channels):
    back = read_shd(write_shd(tmp_path / "some.h5", events_of([0.5], n_channels=channels)))
    assert back.n_channels == channels and back.units.tolist() == [channels - 1]


# test_recipes_fit.py: labels, and all but the first events, are left out of the digest
def test_the_digest_of_frames_is_of_all_their_events_and_labels():
    x = (np.random.default_rng(0).random((3, 8, 20)) < 0.2).astype(np.uint8)
    other = x.copy()
    other[2, 7, :] ^= 1
    labels = np.array([0, 1, 0])
    told = [
        Frames(BinnedEvents.of(given), of, 0.0).digest for given, of in ((x, labels), (other, labels), (x, labels[::-1] ^ 1), (x, labels))
    ]
    assert told[0] == told[3] and len(set(told)) == 3


# the same: a bin less than the utterances take. Or the longest decides, not the 99th of 100
def test_a_few_long_utterances_do_not_lengthen_all_the_others():
    task = Task("toy", dt=0.01, n_steps=20)
    assert steps_for(events_of([0.995] * 300 + [8.0], [0] * 301), task) == 100
    assert steps_for(events_of([0.1] * 300, [0] * 300), task) == 20  # never fewer than the task's


# the same: cropped and merged spikes change places
def test_frames_tell_which_spikes_were_cropped_and_which_merged():
    times, units = np.array([0.001, 0.002, 0.003, 0.011, 0.5, 0.6, 0.7, 0.8], np.float32), np.array([5, 5, 6, 5, 1, 2, 3, 4])
    events = EventSet.from_utterances([(times, units)], [0], [2], n_channels=20)
    with pytest.warns(UserWarning, match="cropped"):
        found = frames_of(events, Task("toy", dt=0.01, n_steps=10, channels=20))
    assert (found.cropped, found.merged) == (4 / 8, 1 / 8) and found.speakers.tolist() == [2]


# the same: names that no utterance of the test set bears become classes
def test_only_classes_that_occur_follow_those_of_training():
    test = events_of([0.1, 0.1], (0, 0), keys=("c", "d", "b"))
    test = replace(test, labels=np.array([2, 1]))
    found = numbered_as(("a", "b"), test)
    assert found.keys == ("a", "b", "d") and found.labels.tolist() == [1, 2]


# the same: fewer names than outputs are taken for theirs
def test_outputs_have_names_only_where_all_of_them_have():
    events = events_of([0.1], keys=("a", "b"))
    split = Split(events, replace(events, keys=()), "some", "others")
    assert [names_of(split, classes) for classes in (1, 2, 3)] == [("a",), ("a", "b"), ()]


# test_recipes_fit.py: what the network is asked for does not reach its neurons
def test_neurons_of_a_network_are_as_the_task_and_the_caller_say():
    pytest.importorskip("lightning", reason="training needs lightning (extra lava)")
    from lava_1m1t1r.recipes import network
    from lava_1m1t1r.recipes.restore import restored

    task = Task("toy", channels=4, hidden=3, classes=2, learn=("mu",), variation=0.25, seed=7)
    usual, other = (network.m1t1r(task, **more).hidden.neuron for more in ({}, {"grow_cap": 0.7, "variation": 0.5}))
    assert tuple(usual.learned.logs()) == ("mu",) and (usual.variation, usual.seed) == (0.25, 7)
    assert (usual.surrogate.grow_cap, usual.surrogate.grow_floor) == (0.3, 0.1)
    assert (other.surrogate.grow_cap, other.surrogate.grow_floor, other.variation) == (0.7, 0.1, 0.5)
    back = restored(fast_net(), grow_cap=0.7, variation=0.5).hidden.neuron
    assert (back.surrogate.grow_cap, back.surrogate.grow_floor, back.variation) == (0.7, 0.1, 0.5)


# test_export_rules.py: whatever begins as the mark counts as left by an export
def test_a_file_called_almost_as_the_mark_is_foreign(tmp_path):
    (tmp_path / f"{output.MARK}.bak").write_text("mine")
    with pytest.raises(InputError, match="hold nothing but a former export"):
        output.check_folder(tmp_path)


# test_export_c.py: words of twice the size where the longest delay just fits
def test_histories_take_the_smallest_word_that_holds_them():
    layer, bits = fast_net(neurons=2).layers[0], {}
    for late in (0, 7, 8, 15, 16, 31, 32, 62):
        for field in ("delay", "delay_rec"):
            changes = {"kind": "dense_rec", "weight_rec": np.full((2, 2), 4, np.int32), field: np.array([0, late], np.int32)}
            bits.setdefault(late, set()).add(history_bits(plan(NetDescription((replace(layer, **changes),)))))
    assert bits == {0: {8}, 7: {8}, 8: {16}, 15: {16}, 16: {32}, 31: {32}, 32: {64}, 62: {64}}


# test_advisor.py: devices of a wide layer that differ, of which some are compared
def test_of_a_wide_layer_each_neurons_own_device_is_compared():
    size = 33
    params = StepParams(replace(FIG2, r_control=np.geomspace(5e7, 2e9, size)))
    a_in = np.tile((np.arange(120) % 2 == 0)[:, None] * 410, (1, size))
    found = _recorded(params, a_in)
    assert found.compared[0] == 0 and found.compared[-1] == size - 1 and len(found.compared) == 16
    for place in (0, 7, 15):
        alone = _recorded(params.replace(device=params.device.take(found.compared[place])), a_in[:, :1])
        assert (found.device_spikes[place], found.step_spikes[place]) == (alone.device_spikes[0], alone.step_spikes[0])
    assert found.device_spikes[0] > found.device_spikes[15]


# test_recipes_start.py: two delays of a channel count as one that was drawn
def test_a_neuron_that_hears_a_channel_twice_hears_all():
    neuron = M1T1RNeuron(StepParams(FIG2))
    lines = Layer(0, "delay_lines", (6,), 3, delay=np.repeat([0, 2], 3))
    weight = np.array([[4, 0, 0, 0, 4, 0], [0, 0, 4, 4, 4, 0]], np.int32)
    heard = _delays_heard(NetDescription((lines, Layer(1, "dense", (2,), 6, weight, neuron=neuron))))
    assert heard.astype(int).tolist() == [[1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 1, 0]]
    weight[1, 0] = 4
    assert _delays_heard(NetDescription((lines, Layer(1, "dense", (2,), 6, weight, neuron=neuron)))) is None


# test_recipes_start.py: fewer names than outputs
def test_outputs_without_names_get_those_of_the_data_only_where_all_have_one():
    net = fast_net(readout=True, channels=20)
    for keys, names in ((("a",), ()), (("a", "b"), ("a", "b"))):
        events = replace(events_of([0.1] * len(keys), [0] * len(keys), n_channels=20), labels=np.arange(len(keys)), keys=keys)
        begin = start(net, Split(events, events, "some", "others"))
        assert (begin.classes, begin.outputs, begin.keeps_readout) == (names, 2, True)


# test_recipes_fit.py: augmentation draws the same whatever the seed
def test_augmentation_follows_the_seed_of_the_task():
    torch = pytest.importorskip("torch")
    pytest.importorskip("lightning", reason="training needs lightning (extra lava)")
    from lava_1m1t1r.recipes import fit

    drawn = []
    for seed in (0, 1, 1):
        learner = fit.Learner(torch.nn.Linear(1, 1), Task("toy", seed=seed), 5, None)
        learner.on_fit_start()
        drawn.append(int(learner.rng.integers(1 << 60)))
    assert drawn[0] != drawn[1] == drawn[2]


# test_datasets_speech.py: training and test voices speak with the same draws
def test_training_and_test_voices_draw_apart():
    draws = [[(u.request.seed, u.tract) for u in utterances(train, 2, 3)] for train in (True, False, True)]
    assert not set(draws[0]) & set(draws[1]) and draws[0] == draws[2] and len(set(draws[0])) == 40


# test_datasets_speech.py: a cached file whose speakers were changed counts as whole
@pytest.mark.parametrize("name", ["times", "units", "offsets", "labels", "speakers", "keys", "speaker_names"])
def test_the_digest_of_made_data_is_of_all_that_they_hold(name):
    spikes = [(np.array([0.1, 0.2], np.float32), np.array([3, 4])), (np.array([0.3], np.float32), np.array([5]))]
    events = EventSet.from_utterances(spikes, [0, 1], [0, 1], keys=("a", "b"), speaker_names=("x", "y"))
    other = {"offsets": np.array([0, 1, 3])}.get(name, getattr(events, name)[::-1])
    assert _digest(events) == _digest(replace(events)) != _digest(replace(events, **{name: other}))


# test_datasets_speech.py: made data are finer in time than SHD's
def test_made_data_are_as_fine_as_shds_from_the_first_call_on(tmp_path, monkeypatch):
    monkeypatch.setattr(made_data, "require_synthesiser", lambda: None)
    wanted, made = float(np.float16(0.1234567)), []
    for _ in range(2):
        found = made_data.made_once(tmp_path, "some", {}, np.zeros(1, int), lambda: made.append(1) or events_of([0.1234567]))
        assert found.times.tolist() == [wanted]
    assert made == [1]
