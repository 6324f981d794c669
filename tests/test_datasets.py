"""Event sets, SHD's file layout and frames."""

import errno
import gzip
import re
import subprocess
import sys
import types
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from lava_1m1t1r._support import hdf5_file
from lava_1m1t1r.datasets import SHD_KEYS, EventSet, binned_events, cropped_share, frames, read_shd, shd, shd_file, write_shd
from lava_1m1t1r.datasets.binning import BinnedEvents, bin_of
from lava_1m1t1r.errors import FormatError, InputError, MissingDependencyError
from lava_1m1t1r.recipes import data

HUMANS = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdd_inner_ear.h5"


@pytest.fixture
def events():
    """Four utterances, the third of them silent, with times that float16 holds exactly."""
    rng = np.random.default_rng(7)
    sizes = (50, 300, 0, 120)
    spikes = [(np.sort(rng.integers(0, 1024, n)) / 1024, rng.integers(0, 700, n)) for n in sizes]
    return EventSet.from_utterances(spikes, [0, 19, 3, 10], [4, 1, 4, 0], keys=SHD_KEYS, speaker_names=tuple("abcde"))


@pytest.fixture
def path(tmp_path, events):
    return write_shd(tmp_path / "digits.h5", events)


# --- event sets ---------------------------------------------------------------------------------------------------


def test_an_utterance_owns_its_slice_of_the_flat_arrays(events):
    assert len(events) == 4 and events.n_classes == 20
    assert [len(u) for u in events] == [50, 300, 0, 120]
    assert (events[1].label, events[1].speaker, events[1].key) == (19, 1, "neun")
    assert events[-1].key == "null"
    np.testing.assert_array_equal(events[3].times, events.times[350:])
    np.testing.assert_allclose(events.durations, [u.duration for u in events])
    assert events.durations[2] == 0


def test_utterances_are_numbered_from_either_end_and_no_further(events):
    assert events[-4] == events[0] and events[0].key == "zero" and events[:1].n_classes == 20
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"utterance {index} of 4"):
            events[index]


@pytest.mark.parametrize("name", ["times", "units"])
def test_masked_spikes_of_an_utterance_are_refused(name):
    pair = {"times": np.array([0.5, 0.2]), "units": np.array([1, 2])}
    pair[name] = np.ma.masked_array(pair[name], [False, True])
    with pytest.raises(InputError, match=f"from_utterances.{name} must hold real numbers"):
        EventSet.from_utterances([tuple(pair.values())], [0])


@pytest.mark.parametrize("pair", [([[0.1], [0.2, 0.3]], [1, 2]), ([[0.1]], [1]), ([0.1], [1, 2]), ([0.1],), 7])
def test_utterances_that_are_no_pairs_of_rows_are_refused(pair):
    with pytest.raises(InputError, match=r"from_utterances.spikes must be a list of \(times, units\), each \(E,\)"):
        EventSet.from_utterances([([0.5], [3]), pair], [0, 0])


def test_an_utterance_lasts_until_its_latest_spike_whatever_their_order():
    events = EventSet.from_utterances([([0.5, 0.2], [1, 2]), ([0.1, 0.3, 0.2], [1, 2, 3]), ([], []), ([0.25], [0])], [0, 1, 0, 1])
    assert [u.duration for u in events] == events.durations.tolist() == [0.5, np.float32(0.3), 0, 0.25]


@pytest.mark.parametrize("index", [[3, 1], slice(1, None, 2), np.array([False, True, True, False]), []])
def test_a_subset_holds_the_chosen_utterances(events, index):
    chosen = np.arange(4)[np.asarray(index, int) if isinstance(index, list) else index]
    part = events.subset(index)
    assert len(part) == len(chosen)
    for i, j in enumerate(chosen):
        np.testing.assert_array_equal(part[i].times, events[j].times)
        np.testing.assert_array_equal(part[i].units, events[j].units)
        assert (part[i].label, part[i].speaker) == (events[j].label, events[j].speaker)


def test_speakers_are_chosen_and_left_out_by_number_or_name(events):
    assert list(events.of_speakers(4).labels) == [0, 3]
    assert list(events.of_speakers("e").labels) == [0, 3]
    assert list(events.without_speakers(4, "a").labels) == [19]
    assert events.speaker("4") == events.speaker("e") == 4


@pytest.mark.parametrize("who", [9, -1, "nobody", "²", "--4", "-", "", " 4", 4.0, True, None])
def test_others_are_refused_and_those_who_speak_are_listed(who, events):
    with pytest.raises(InputError, match="--validate must be one of the set's speakers; got .*. They are a, b, e.$"):
        events.speaker(who, "--validate")


def test_a_speaker_named_as_another_is_numbered(events):
    odd = replace(events, speaker_names=("1", "b", "c", "d", "e"))
    assert odd.speaker("1") == 0 and odd.speaker(1) == 1
    alike = replace(events, speaker_names=("b", "b", "c", "d", "e"))
    rule = "speaker must be a name that one speaker alone has, or a number; got 'b'. Give the number of one of them: 0 or 1."
    with pytest.raises(InputError, match=re.escape(rule)):
        alike.speaker("b")
    assert (alike.speaker("1"), alike.speaker("e")) == (1, 4)
    assert replace(events, speaker_names=("4",)).speaker("4") == 0  # a name, before the number of somebody without one
    many = EventSet.from_utterances([([0.1], [1])] * 99, [0] * 99, range(99))
    with pytest.raises(InputError, match="28, 29 and 69 more"):
        many.speaker("nobody")


@pytest.mark.parametrize(
    ("names", "others", "speakers", "joined"),
    [
        (("a", "b"), ("c",), [0, 1, 2], ("a", "b", "c")),
        (("a", "b"), ("a", "b"), [0, 1, 0], ("a", "b")),  # the same people
        ((), (), [0, 1, 2], ()),
        ((), ("c",), [0, 1, 2], ("0", "1", "c")),
        (("a",), ("c",), [0, 1, 2], ("a", "1", "c")),
        (("a", "b", "says nothing"), (), [0, 1, 3], ("a", "b", "says nothing")),
    ],
)
def test_joined_sets_keep_their_utterances_and_speakers(names, others, speakers, joined):
    one = EventSet.from_utterances([([0.1, 0.3], [1, 2]), ([], [])], [0, 1], [0, 1], keys=("x", "y"), speaker_names=names, dropped=2)
    two = EventSet.from_utterances([([0.2], [3]), ([0.4], [4])], [1, 0], [0, -1], keys=("x", "y"), speaker_names=others, dropped=1)
    both = one.joined(two)
    assert both.speakers.tolist() == [*speakers, -1] and both.speaker_names == joined and both.dropped == 3
    assert both.labels.tolist() == [0, 1, 1, 0] and both.keys == ("x", "y")
    for heard, own in zip(both, [*one, *two], strict=True):
        assert (heard.times.tolist(), heard.units.tolist(), heard.key) == (own.times.tolist(), own.units.tolist(), own.key)


def test_sets_that_number_otherwise_are_not_joined(events):
    for change, field in (({"keys": events.keys[::-1]}, "keys"), ({"n_channels": 701}, "n_channels")):
        with pytest.raises(InputError, match=rf"joined.other.{field} must be"):
            events.joined(replace(events, **change))


def test_classes_without_names_are_as_many_as_the_highest_label_says():
    unnamed = EventSet.from_utterances([([0.1], [1])] * 2, [0, 3])
    assert unnamed.n_classes == 4 and "2 utterances, 2 spikes, 2 of 4 classes" in repr(unnamed) and unnamed[:0].n_classes == 0


def test_one_of_a_kind_is_told_in_the_singular():
    one = EventSet.from_utterances([([0.1], [0])], [0], n_channels=1)
    assert repr(one) == "EventSet(1 utterance, 1 spike, 1 class, 1 speaker, 1 channel)"
    assert "0 utterances, 0 spikes, 0 classes, 0 speakers" in repr(one[:0])


def test_speakers_that_are_not_known_bear_no_name(events):
    unknown = replace(events, speakers=[4, -1, 4, 0])
    assert list(unknown.of_speakers("e").labels) == [0, 3] and list(unknown.of_speakers(-1).labels) == [19]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("offsets", [0, 5, 2, 6], "rise from 0"),
        ("units", [1, 2], "hold 6 spikes"),
        ("units", [0, 0, 0, 700, 0, 0], r"EventSet.units must lie in 0..699; got 700. Give n_channels if there are more."),
        ("times", [0, 0, 0, -0.5, np.inf, 0], "EventSet.times must be finite and >= 0 s; got -0.5. Times count from the start"),
        ("times", [0, 0, 0, 0.5, np.inf, 0], "EventSet.times must be finite and >= 0 s; got inf. Times count from the start"),
        ("labels", [0, -1, 2], "EventSet.labels must be >= 0; got -1. Number the classes from 0."),
        ("labels", [1], "one entry an utterance"),
        ("labels", ["a", "b", "c"], r"EventSet.labels must hold numbers, \(N,\); .* Number them from 0, and give their names as keys\."),
        ("speakers", ["a", "b", "c"], r"EventSet.speakers must hold .* Number them from 0, and give their names as speaker_names\."),
        ("speakers", [[1, 2, 3]], "one-dimensional"),
        ("keys", ("a", "b", "a"), "EventSet.keys must name each class differently; got 'a'."),
        ("keys", ("a", "b"), r"EventSet.labels must lie in 0..1, as there are 2 keys; got 2. Name every class, or give no keys."),
    ],
)
def test_fields_that_do_not_fit_are_refused(field, value, text):
    good = dict(times=np.zeros(6), units=np.zeros(6), offsets=[0, 2, 2, 6], labels=[0, 1, 2], speakers=[0, 0, 0])
    EventSet(**good)
    with pytest.raises(InputError, match=text):
        EventSet(**{**good, field: value})


# --- the file -----------------------------------------------------------------------------------------------------


def test_a_written_file_has_the_layout_of_shd(path):
    with h5py.File(path) as file:
        assert h5py.check_vlen_dtype(file["spikes/times"].dtype) == np.float16  # it holds these exactly
        assert h5py.check_vlen_dtype(file["spikes/units"].dtype) == np.uint16
        assert file["labels"].dtype == np.uint16 and file["extra/speaker"].dtype == np.uint16
        assert file["extra/keys"][1] == b"one" and "extra/meta_info" in file


def test_what_is_written_comes_back(path, events):
    back = read_shd(path)
    for name in ("times", "units", "offsets", "labels", "speakers"):
        np.testing.assert_array_equal(getattr(back, name), getattr(events, name))
        assert getattr(back, name).dtype == getattr(events, name).dtype
    assert back.keys == SHD_KEYS and back.speaker_names == tuple("abcde") and back.dropped == 0


def test_times_that_float16_cannot_hold_come_back_too(tmp_path):
    """A bin of 10 ms each: float16 would move a third of them into another bin."""
    times = (np.arange(3000) * 0.01).astype(np.float32)
    events = EventSet.from_utterances([(times, np.arange(3000) % 700)], [0])
    back = read_shd(write_shd(tmp_path / "fine.h5", events))
    np.testing.assert_array_equal(back.times, times)
    assert len(binned_events(back, 0.01).channel) == 3000
    rounded = shd_file.as_stored(events)
    with h5py.File(write_shd(tmp_path / "coarse.h5", rounded)) as file:
        assert h5py.check_vlen_dtype(file["spikes/times"].dtype) == np.float16
    assert read_shd(tmp_path / "coarse.h5") == rounded


def test_an_empty_set_and_rows_of_equal_length_come_back(tmp_path, events):
    assert len(read_shd(write_shd(tmp_path / "none.h5", events.subset([])))) == 0
    even = EventSet.from_utterances([([0.5, 0.75], [1, 2]), ([0.25, 1.0], [3, 4])], [0, 1])
    back = read_shd(write_shd(tmp_path / "even.h5", even))
    np.testing.assert_array_equal(back.units, [1, 2, 3, 4])
    assert list(back.speakers) == [-1, -1]


def test_a_caller_whose_numpy_raises_at_underflow_reads_and_writes_as_any_other(tmp_path):
    spikes = [(np.array([1e-60, 1e-9, 0.1, 0.2 + 0.01 * k]), np.array([0, 1, 2, k])) for k in range(4)]
    with np.errstate(all="raise"):
        events = EventSet.from_utterances(spikes, [0, 1, 0, 1], [0, 0, 1, 1], n_channels=4, keys=["a", "b"])
        write_shd(tmp_path / "x.h5", events)
        split = data.load(tmp_path / "x.h5")
        assert shd_file.as_stored(events).times[1] == 0
    assert np.array_equal(read_shd(tmp_path / "x.h5").times, events.times) and len(split.train) == len(split.test) == 2


def test_float16_times_are_widened_before_use(path):
    # 1e6 is beyond float16: microseconds computed there would be inf
    assert np.all(np.isfinite(read_shd(path).times * 1e6))


def test_times_that_are_not_finite_are_dropped_and_counted(path, events):
    with h5py.File(path, "a") as file:
        row = file["spikes/times"][1]
        row[[3, 7]] = np.nan, np.inf
        file["spikes/times"][1] = row
    with pytest.warns(UserWarning, match=r"digits.h5: dropped 2 of 470 spikes"):
        back = read_shd(path)
    assert back.dropped == 2
    assert [len(u) for u in back] == [50, 298, 0, 120] and back[:1].dropped == 0
    np.testing.assert_array_equal(back[1].units, np.delete(events[1].units, [3, 7]))
    np.testing.assert_array_equal(back[3].times, events[3].times)


def test_an_utterance_all_of_whose_times_are_dropped_stays(path):
    with h5py.File(path, "a") as file:
        file["spikes/times"][3] = np.full(120, np.nan, np.float16)
    with pytest.warns(UserWarning, match="dropped 120 of 470 spikes"):
        assert [len(u) for u in read_shd(path)] == [50, 300, 0, 0]


def test_speakers_that_a_file_does_not_tell_are_unknown(path):
    with h5py.File(path, "a") as file:
        del file["extra/speaker"]
    assert read_shd(path).speakers.tolist() == [-1] * 4


@pytest.mark.parametrize("kind", ["S8", h5py.string_dtype()], ids=["fixed", "variable"])
def test_speakers_that_are_texts_are_numbered(path, events, kind):
    """As Speech Commands names its people."""
    with h5py.File(path, "a") as file:
        del file["extra/speaker"]
        file.create_dataset("extra/speaker", data=[b"e49428d9", b"bb05582b", b"e49428d9", b"0a2b400e"], dtype=kind)
    found = read_shd(path)
    assert found == replace(events, speakers=[2, 1, 2, 0], speaker_names=("0a2b400e", "bb05582b", "e49428d9"))
    assert list(found.of_speakers("e49428d9").labels) == [0, 3]
    assert read_shd(write_shd(path, found)) == found


@pytest.mark.parametrize(
    ("texts", "speakers", "names"),
    [
        (["bob", "", "bob", " "], [0, -1, 0, -1], ("bob",)),
        (["", "", "", ""], [-1] * 4, ()),
        (["e\u0301va", "\u00e9va", "bob", "e\u0301va"], [1, 1, 0, 1], ("bob", "\u00e9va")),
    ],
)
def test_blank_texts_are_no_speaker_and_accents_make_no_second_one(path, texts, speakers, names):
    with h5py.File(path, "a") as file:
        del file["extra/speaker"]
        file.create_dataset("extra/speaker", data=texts, dtype=h5py.string_dtype())
    found = read_shd(path)
    assert found.speakers.tolist() == speakers and found.speaker_names == names


@pytest.mark.parametrize("change", [Path.replace, lambda other, path: path.unlink()], ids=["replaced", "removed"])
def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(path, events, monkeypatch, change):
    """Labels of the one with spikes of the other were a valid set, without a word."""
    other, dataset = write_shd(path.with_name("other.h5"), replace(events, units=699 - events.units)), hdf5_file.dataset

    def changed_first(*given, **options):
        if other.exists() and path.exists():
            change(other, path)
        return dataset(*given, **options)

    monkeypatch.setattr(hdf5_file, "dataset", changed_first)
    assert read_shd(path) == events


def change(path, name, row, value):
    with h5py.File(path, "a") as file:
        file[name][row] = value


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda p: p.unlink(), "digits.h5 must exist"),
        (lambda p: p.write_bytes(b"spikes,times\n1,2\n"), "be an HDF5 file"),
        (lambda p: p.write_bytes(b""), "be an HDF5 file"),
        (lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "HDF5 file, complete.*truncated"),
        (lambda p: change(p, "extra/keys", 1, b"zero"), "digits.h5: extra/keys must name each class differently; got 'zero'"),
        (lambda p: change(p, "labels", 1, 20), r"'labels' of utterance 1 must lie in 0..19; got 20"),
        (
            lambda p: change(p, "spikes/units", 1, np.full(300, 700, np.uint16)),
            r"'spikes/units' of utterance 1 .*0..699",
        ),
        (
            lambda p: change(p, "spikes/times", 3, np.zeros(7, np.float16)),
            r"utterance 3 must be as long.*\(120\); got 7",
        ),
        (
            lambda p: change(p, "spikes/times", 3, np.repeat([0, -0.5], 60).astype(np.float16)),
            r"utterance 3 must be >= 0 s; got -0.5",
        ),
    ],
)
def test_a_bad_file_is_one_clear_error(path, damage, text):
    damage(path)
    with pytest.raises(FormatError, match=text):
        read_shd(path)


def test_times_and_units_belong_together_in_each_utterance(path):
    with h5py.File(path, "a") as file:
        file["spikes/times"][0], file["spikes/times"][1] = np.zeros(51, np.float16), np.zeros(299, np.float16)
    with pytest.raises(FormatError, match=r"'spikes/times' of utterance 0 must be as long as its 'spikes/units' \(50\); got 51"):
        read_shd(path)


@pytest.mark.parametrize("name", ["spikes/times", "spikes/units", "labels"])
def test_a_missing_or_misshapen_dataset_is_named(path, name):
    with h5py.File(path, "a") as file:
        del file[name]
    with pytest.raises(FormatError, match=f"hold the dataset '{name}'"):
        read_shd(path)
    with h5py.File(path, "a") as file:
        file[name] = np.zeros((2, 3))
    with pytest.raises(FormatError, match=f"{name} must be one-dimensional"):
        read_shd(path)


def test_columns_of_other_lengths_or_types_are_named(path):
    with h5py.File(path, "a") as file:
        del file["extra/speaker"]
        file["extra/speaker"] = np.arange(3)
    with pytest.raises(FormatError, match="extra/speaker must have as many rows as there are labels"):
        read_shd(path)
    with h5py.File(path, "a") as file:
        del file["spikes/units"]
        file["spikes/units"] = np.arange(4)
    with pytest.raises(FormatError, match="variable-length rows of integers"):
        read_shd(path)


def test_other_numbers_of_channels_and_classes_can_be_given(path):
    with pytest.raises(FormatError, match="n_channels"):
        read_shd(path, n_channels=70)
    with pytest.raises(FormatError, match=r"lie in 0..9"):
        read_shd(path, n_classes=10)
    assert read_shd(path, n_channels=1024).n_channels == 1024
    change(path, "labels", 1, 25)
    with pytest.raises(FormatError, match=r"lie in 0..19; got 25"):  # has no name
        read_shd(path, n_classes=30)
    with h5py.File(path, "a") as file:
        del file["extra/keys"]
    assert read_shd(path, n_classes=30).labels[1] == 25


@pytest.mark.parametrize(
    ("changes", "meta", "text"),
    [
        (dict(times=np.full(470, 65_505.0)), None, r"EventSet.times must lie in 0..65504 s to be stored; got 65505"),
        (dict(labels=[0, 1, 2, 20], keys=()), None, r"EventSet.labels must lie in 0..19 to be stored without keys; .* Give the set keys"),
        (dict(labels=[0, 1, 2, 65_536], keys=list(map(str, range(65_537)))), None, r"EventSet.labels must lie in 0..65535 to be stored"),
        (dict(speakers=[0, 1, 2, 2**31]), None, r"EventSet.speakers must lie in .*..2147483647 to be stored"),
        (dict(speaker_names=list(map(str, range(65_537)))), None, r"EventSet.speaker_names must hold at most 65536 names"),
        (dict(keys=(*SHD_KEYS, "a\0")), None, r"EventSet.keys must hold names without control characters; got 'a\\x00'"),
        (dict(keys=(*SHD_KEYS, "caf\udce9")), None, r"EventSet.keys must hold names that are text in UTF-8; got 'caf\\udce9'"),
        (dict(speaker_names=("\ud800",)), None, "EventSet.speaker_names must hold names that are text in UTF-8"),
        ({}, ["not a mapping"], "meta must be texts by name"),
        ({}, {"": "x"}, "name in meta must be a name in HDF5: not empty.*; got ''"),
        ({}, {".": "x"}, "name in meta must"),
        ({}, {"a/b": "x"}, "name in meta must"),
        ({}, {"a\0": "x"}, "name in meta must"),
        ({}, {"speaker_names": "x"}, "name in meta must be .* speaker_names or n_channels"),
        ({}, {"how": "a\0b"}, r"meta\['how'\] must be text without NUL"),
    ],
)
def test_what_a_file_could_not_give_back_is_refused_and_leaves_nothing(tmp_path, events, changes, meta, text):
    with pytest.raises(InputError, match=text):
        write_shd(tmp_path / "bad.h5", replace(events, **changes), meta)
    assert list(tmp_path.iterdir()) == []


def test_texts_come_back(tmp_path, events):
    path = write_shd(tmp_path / "a.h5", events, meta={"how": "spoken, fünf", "..": "parent"})
    assert shd_file.read_meta(path, "how") == "spoken, fünf" and shd_file.read_meta(path, "..") == "parent"
    assert shd_file.read_meta(path, "why") is None and shd_file.read_meta(path, "speaker_names") is None


def test_large_numbers_of_speakers_and_long_names_of_files_come_back(tmp_path, events):
    many = replace(events, speakers=[0, 65_535, 65_536, 2**31 - 1])
    assert read_shd(write_shd(tmp_path / ("a" * 252 + ".h5"), many)) == many
    with h5py.File(write_shd(tmp_path / "b.h5", replace(many, speakers=[0, 1, 2, 65_535]))) as file:
        assert file["extra/speaker"].dtype == np.uint16


@pytest.mark.parametrize("most", [2**16 - 1, 2**16, 2**31 - 1])
def test_numbers_of_speakers_are_stored_whole(tmp_path, events, most):
    path = write_shd(tmp_path / "some.h5", replace(events, speakers=[0, most, 4, 1]))
    assert read_shd(path).speakers.tolist() == [0, most, 4, 1]


def test_another_number_of_channels_comes_back(tmp_path, events):
    few = replace(events, units=events.units // 5, n_channels=140)
    path = write_shd(tmp_path / "few.h5", few)
    assert read_shd(path) == few and read_shd(path, n_channels=700).n_channels == 700
    with h5py.File(write_shd(tmp_path / "usual.h5", events)) as file:
        assert "n_channels" not in file["extra/meta_info"]
    for wrong in (0, 70_000, 0.5, [140]):
        with h5py.File(path, "a") as file:
            del file["extra/meta_info/n_channels"]
            file["extra/meta_info/n_channels"] = wrong
        with pytest.raises(FormatError, match="few.h5: extra/meta_info/n_channels must be a whole number from 1 to 65536"):
            read_shd(path)


@pytest.mark.parametrize("channels", [1, 2**15, 2**16])
def test_numbers_of_channels_are_stored_whole(tmp_path, channels):
    events = EventSet.from_utterances([([0.5], [channels - 1])], [0], n_channels=channels)
    back = read_shd(write_shd(tmp_path / "some.h5", events))
    assert back.n_channels == channels and back.units.tolist() == [channels - 1]


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    """Here the limit of the size of a file stands for it; the HDF5 library writing to the disk itself dies of it."""
    code = """if True:
        import resource, signal, sys
        import numpy as np
        from lava_1m1t1r.datasets import EventSet, write_shd
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        one = (np.linspace(0, 1, 4000), np.zeros(4000))
        try:
            write_shd(sys.argv[1], EventSet.from_utterances([one] * 300, [0] * 300))
        except OSError as error:
            print("OSError", error.errno)
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.h5")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"OSError {errno.EFBIG}\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_threads_that_write_one_file_leave_one_whole(tmp_path, events):
    sets = [replace(events, speakers=[i, i, i, i]) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            list(pool.map(lambda one: write_shd(tmp_path / "a.h5", one), sets))
            assert read_shd(tmp_path / "a.h5") in sets
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path, events):
    (tmp_path / "elsewhere").mkdir()
    link, file = tmp_path / "a.h5", tmp_path / "elsewhere" / "b.h5"
    link.symlink_to(file)
    for one in (events, events.subset([0, 1])):  # a file that is not there yet, and one that is
        write_shd(link, one)
        assert link.is_symlink() and read_shd(file) == one
        file.chmod(0o640)
    assert file.stat().st_mode & 0o777 == 0o640 and len(list((tmp_path / "elsewhere").iterdir())) == 1


@pytest.mark.skipif(not HUMANS.is_file(), reason="the recordings of people lie beside the project, not in it")
def test_real_speakers_read_and_fill_frames():
    people = read_shd(HUMANS)
    assert len(people) == 2000 and people.n_classes == 10 and people.dropped == 0
    assert len(people.without_speakers(0)) == 1500
    x = frames(people.subset(slice(0, 20)), dt=10e-3, n_steps=140)
    assert x.shape == (20, 140, 700) and x.any(axis=(1, 2)).all()


# --- the user's copy and the download -----------------------------------------------------------------------------


def test_the_users_copy_is_found_beside_or_below(tmp_path, events):
    (tmp_path / "SHD").mkdir()
    write_shd(tmp_path / "SHD" / "shd_train.h5", events)
    write_shd(tmp_path / "shd_test.h5", events.subset([0]))
    assert len(shd(tmp_path)) == 4 and len(shd(tmp_path, train=False)) == 1
    write_shd(tmp_path / "shd_train.h5", events.subset([0, 1]))
    assert len(shd(tmp_path)) == 2  # before the one below


def test_archives_are_unpacked(tmp_path, path):
    with zipfile.ZipFile(tmp_path / "shd_train.h5.zip", "w") as file:
        file.write(path, "SHD/shd_train.h5")
    (tmp_path / "shd_test.h5.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert len(shd(tmp_path)) == len(shd(tmp_path, train=False)) == 4
    assert (tmp_path / "shd_train.h5").is_file()


@pytest.mark.parametrize("archive", ["shd_train.h5.zip", "shd_train.h5.gz"])
def test_a_damaged_archive_is_named_and_leaves_nothing(tmp_path, archive):
    whole = gzip.compress(bytes(100_000))
    contents = (whole[:60], whole[:10] + b"\xff" * 50, b"no gzip") if archive.endswith("gz") else (b"PK broken",)
    for content in contents:
        (tmp_path / archive).write_bytes(content)
        with pytest.raises(FormatError, match=f"{archive} must be a complete archive"):
            shd(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == [archive]


def test_an_encrypted_archive_is_told(tmp_path, path):
    """zipfile writes none: the flag in both headers is all that makes it ask for a password."""
    archive = tmp_path / "shd_train.h5.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(path, "shd_train.h5")
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(FormatError, match="must be a complete archive, not encrypted"):
        shd(tmp_path)


def test_a_zip_with_a_damaged_name_is_told(tmp_path, path):
    archive = tmp_path / "shd_train.h5.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(path, "SHD-\u00e9/shd_train.h5")
    archive.write_bytes(archive.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))  # which UTF-8 does not have
    with pytest.raises(FormatError, match="shd_train.h5.zip must be a complete archive"):
        shd(tmp_path)


def test_an_empty_zip_is_not_taken_for_the_data(tmp_path):
    (tmp_path / "shd_train.h5.zip").touch()
    with pytest.raises(FormatError, match="hold shd_train.h5.*train=True, download=True"):
        shd(tmp_path)


def fake_tonic(monkeypatch, download):
    module = types.ModuleType("tonic.datasets")
    module.SHD = download
    monkeypatch.setitem(sys.modules, "tonic", types.ModuleType("tonic"))
    monkeypatch.setitem(sys.modules, "tonic.datasets", module)


def test_a_download_lands_where_tonic_looks_for_it(tmp_path, path, monkeypatch):
    def download(save_to, train):
        assert not list(Path(save_to).iterdir()), "the zip of an earlier try would stop tonic from downloading"
        folder = Path(save_to, "SHD")
        folder.mkdir()
        (folder / "shd_train.h5.zip").write_bytes(b"zip")
        (folder / "shd_train.h5").write_bytes(path.read_bytes())

    fake_tonic(monkeypatch, download)
    target = tmp_path / "data"
    (target / "SHD").mkdir(parents=True)
    (target / "SHD" / "shd_train.h5.zip").touch()
    assert len(shd(target, download=True)) == 4
    assert sorted(p.name for p in (target / "SHD").iterdir()) == ["shd_train.h5", "shd_train.h5.zip"]
    assert (target / "SHD" / "shd_train.h5.zip").read_bytes() == b"zip"
    assert [p.name for p in target.iterdir()] == ["SHD"]


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    def download(save_to, train):
        Path(save_to, "half").touch()
        raise OSError("no route to host")

    fake_tonic(monkeypatch, download)
    with pytest.raises(InputError, match="no route to host.*by hand"):
        shd(tmp_path, download=True)
    assert not list((tmp_path / "SHD").iterdir()) and [p.name for p in tmp_path.iterdir()] == ["SHD"]


def test_without_tonic_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tonic.datasets", None)
    with pytest.raises(MissingDependencyError, match=r"lava-1m1t1r\[data\]"):
        shd(tmp_path, download=True)


# --- frames -------------------------------------------------------------------------------------------------------


def counted(events, dt, n_steps, channels):
    """Counts by a plain loop: the definition."""
    out = np.zeros((len(events), n_steps, channels), int)
    for b, utterance in enumerate(events):
        for t, u in zip(utterance.times, utterance.units, strict=True):
            step = int(np.floor(float(t) / dt + 1e-4))
            if step < n_steps:
                out[b, step, int(u) * channels // 700] += 1
    return out


@pytest.mark.filterwarnings("ignore:.*are cropped")
@pytest.mark.parametrize("clip", [1, 2, None])
@pytest.mark.parametrize(("dt", "n_steps", "channels"), [(1e-3, 1100, 700), (10e-3, 60, 70), (0.3, 4, 3), (2.0, 1, 128)])
def test_frames_and_binned_events_count_as_defined(events, dt, n_steps, channels, clip):
    want = counted(events, dt, n_steps, channels)
    want = np.minimum(want, 255 if clip is None else clip)
    x = frames(events, dt, n_steps, channels, clip)
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(x, want)
    binned = binned_events(events, dt, n_steps, channels, clip)
    np.testing.assert_array_equal(binned.dense(), want)
    row = binned.channel[binned.indptr[n_steps] : binned.indptr[n_steps + 1]]  # first step of the second utterance
    np.testing.assert_array_equal(row, np.flatnonzero(want[1, 0]))


@pytest.mark.parametrize("index", [[2, 0], [-1], [], [True, False, False, True], slice(1, 3), np.array([3, 3], np.uint64)])
def test_some_utterances_are_made_dense_as_numpy_indexes(events, index):
    chosen = np.arange(4)[index if isinstance(index, slice) or len(index) else slice(0)]
    np.testing.assert_array_equal(binned_events(events, 0.1, 11).dense(index), frames(events, 0.1, 11)[chosen])


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ([4], "utterances must lie within 4 utterances"),
        ([-5], "utterances must lie within 4 utterances"),
        ([True, False], r"mask must have one entry an utterance \(4\); got \(2,\)"),
        ([0.5], "utterances must be integers, a mask or a slice"),
        (1, "utterances must be integers, a mask or a slice"),
        ([[0], [1, 2]], "utterances must be integers, a mask or a slice"),
    ],
)
def test_other_utterances_are_not_made_dense(events, index, text):
    with pytest.raises(InputError, match=text):
        binned_events(events, 0.1, 11).dense(index)


def test_blocks_do_not_show_in_the_result(events, monkeypatch):
    whole, whole_binned = frames(events, 5e-3), binned_events(events, 5e-3)
    for utterances in (1, 3):  # also such that the last block is shorter
        monkeypatch.setattr("lava_1m1t1r.datasets.binning._BLOCK_CELLS", utterances * whole[0].size)
        np.testing.assert_array_equal(frames(events, 5e-3), whole)
        np.testing.assert_array_equal(binned_events(events, 5e-3).channel, whole_binned.channel)
        np.testing.assert_array_equal(binned_events(events, 5e-3).indptr, whole_binned.indptr)


def test_times_in_microseconds_are_told_to_be_in_seconds():
    events = EventSet.from_utterances([([10_000, 490_000], [0, 1])], [0])
    with pytest.raises(InputError, match=r"n_steps must be .*; got 490000001\. A wider bin needs fewer\. Times are in seconds\."):
        frames(events, 1e-3)


def test_a_spike_on_the_edge_of_a_bin_belongs_to_the_bin_it_opens():
    steps = np.arange(1000)
    events = EventSet.from_utterances([((steps * 10e-3).astype(np.float32), np.zeros(1000, int))], [0])
    np.testing.assert_array_equal(frames(events, 10e-3, 1000)[0, :, 0], 1)


def test_a_spike_just_before_an_edge_counts_as_on_it_and_none_that_is_further():
    events = EventSet.from_utterances([([1 - 5e-5, 3 - 2e-4], [0, 1])], [0])
    assert [step.tolist() for step in frames(events, 1.0, 4, 2)[0].nonzero()] == [[1, 2], [0, 0]]


def test_what_counts_as_on_the_last_edge_is_cropped_and_counted():
    """The second spike is half of a ten-thousandth of a bin before it."""
    events = EventSet.from_utterances([([0.5, 1 - 5e-7, 0.99, 1.2], [0, 1, 2, 3])], [0])
    for steps, left in ((99, 1), (100, 2), (101, 3), (121, 4)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert frames(events, 0.01, steps, clip=None).sum() == left
        assert cropped_share(events, 0.01, steps) == 1 - left / 4


@pytest.mark.parametrize("dt", [1e-3, 1e-2])
def test_times_in_float32_stay_in_their_bin_for_a_minute(dt):
    steps = round(60 / dt)
    events = EventSet.from_utterances([((np.arange(steps) * dt).astype(np.float32), np.zeros(steps, int))], [0])
    assert (frames(events, dt, steps, clip=None).sum(2) == 1).all()


@pytest.mark.parametrize("dt", [1e-3, 1e-2])
def test_times_in_float32_stay_in_their_bin_for_millions_of_bins(dt):
    """Beyond 2^22 bins, what is allowed for their rounding took spikes in the middle of a bin to the next one, and soon all of them."""
    steps = np.random.default_rng(0).integers(0, 1 << 23, 100_000)
    np.testing.assert_array_equal(bin_of((steps * dt).astype(np.float32), dt), steps)
    np.testing.assert_array_equal(bin_of(np.array([6e6 + 0.4, 9e6, 1e7 + 0.4]) * dt, dt), [6e6, 9e6, 1e7])


def test_sets_are_equal_by_value(events):
    again = events[:]
    assert events == again and hash(events) == hash(again) and again in [events]
    assert events != events[:1] and events[0] == again[0] and events[0] != events[1] and events != 3


def test_counts_saturate_at_255():
    events = EventSet.from_utterances([(np.zeros(300), np.zeros(300, int))], [0])
    assert frames(events, 1e-3, 1, clip=None).max() == 255


@pytest.mark.parametrize(("channels", "most"), [(70_000, 3), (5, 300)])
def test_events_of_wide_frames_and_large_counts_give_the_frames_back(channels, most):
    x = np.zeros((2, 3, channels), np.uint8 if most < 256 else np.int16)
    x[0, 2, channels - 1], x[1, 0, 1] = most, 1
    for given in (x, x.astype(np.int64), x.astype(np.uint16)):
        back = BinnedEvents.of(given).dense()
        assert back.dtype == x.dtype
        np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("wrong", [40_000, -1, 0.5])
def test_frames_of_other_than_counts_are_refused(wrong):
    with pytest.raises(InputError, match="frames must hold whole counts from 0 to 32767"):
        BinnedEvents.of(np.full((1, 2, 3), wrong))


def test_frames_of_events_may_be_lists_and_have_three_dimensions():
    assert BinnedEvents.of([[[0, 1], [2, 0]]]).dense().tolist() == [[[0, 1], [2, 0]]]
    for wrong in ([[0, 1]], None):
        with pytest.raises(InputError, match="^frames must"):
            BinnedEvents.of(wrong)


def test_the_default_length_holds_every_spike(events):
    x = frames(events, 7e-3, clip=None)
    assert x.sum() == len(events.times) and x[:, -1].any()


def test_cropped_spikes_are_reported(events):
    share = cropped_share(events, 10e-3, 50)
    assert share == np.mean(events.times >= 0.5)
    with pytest.warns(UserWarning, match=f"{share:.1%} of the spikes"):
        frames(events, 10e-3, 50)


def test_spikes_just_before_an_edge_are_cropped_as_those_on_it():
    events = EventSet.from_utterances([(np.array([0.05, 0.09999999, 0.1]), np.zeros(3, int))], [0])
    assert cropped_share(events, 0.05, 2) == 2 / 3
    with pytest.warns(UserWarning, match="66.7%"):
        assert frames(events, 0.05, 2, clip=None).sum() == 1


@pytest.mark.parametrize("steps", [1, 10, 2000, 100_000])
def test_the_first_bin_beyond_the_frames_is_cropped(steps):
    times = np.array([steps - 0.5, steps, steps + 0.25]) * 2.0**-10
    events = EventSet.from_utterances([(times, np.zeros(3, int))], [0])
    assert cropped_share(events, 2.0**-10, steps) == pytest.approx(2 / 3)


@pytest.mark.filterwarnings("error")
def test_a_few_cropped_spikes_are_not_worth_a_warning():
    events = EventSet.from_utterances([(np.arange(25), np.zeros(25, int))], [0])
    assert cropped_share(events, 1.0, 24) == 1 / 25  # at the end, too
    frames(events, 1.0, 24)
    frames(EventSet.from_utterances([(np.arange(20), np.zeros(20, int))], [0]), 1.0, 19)  # 5 % are not more
    with pytest.warns(UserWarning, match=r"8.0% of the spikes lie beyond n_steps \* dt = 23 s"):
        frames(events, 1.0, 23)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (dict(dt=0.0), "dt .* > 0"),
        (dict(dt=np.nan), "dt .* > 0"),
        (dict(dt=1e-3, n_steps=0), "n_steps must be"),
        (dict(dt=1e-3, channels=701), r"channels must be a whole number from 1 to 700"),
        (dict(dt=1e-3, clip=0), "clip must"),
        (dict(dt=1e-3, clip=256), "clip must"),
    ],
)
def test_wrong_arguments_are_refused(events, arguments, text):
    with pytest.raises(InputError, match=text):
        frames(events, **arguments)


def test_more_cells_than_any_memory_holds_are_refused(events, monkeypatch):
    monkeypatch.setattr("lava_1m1t1r.datasets.binning._MOST_CELLS", 4 * 11 * 70)
    assert frames(events, 0.1, 11, 70).size == 4 * 11 * 70
    for make in (frames, binned_events):
        with pytest.raises(InputError, match="n_steps must make at most 3080 cells of utterances, steps and channels; got 12. Widen dt"):
            make(events, 0.1, 12, 70)


def test_times_beyond_all_bins_are_cropped():
    nanoseconds = EventSet.from_utterances([([0.5, 1.7e18, 1.8e18], [3, 4, 5])], [0], [0])
    assert cropped_share(nanoseconds, 1e-3, 1000) == pytest.approx(2 / 3)
    assert frames(nanoseconds, 1e-3, n_steps=1000).sum() == 1


def test_counts_of_a_long_utterance_take_little_more_memory_than_its_cells():
    import tracemalloc

    from lava_1m1t1r.datasets.binning import binned_events

    steps = 200_000
    times, units = np.array([0.0, 0.0, 0.0, 199.9], np.float32), np.array([5, 5, 5, 699], np.uint16)
    events = EventSet.from_utterances([(times, units)], [0])
    tracemalloc.start()
    try:
        found = binned_events(events, 1e-3, steps, clip=2)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * steps * 700
    finally:
        tracemalloc.stop()
    assert found.count.tolist() == [2, 1] and found.channel.tolist() == [5, 699]


def test_a_name_of_someone_who_says_nothing_here_is_no_speaker():
    events = EventSet.from_utterances([(np.array([0.1]), np.array([3]))], [0], [0], speaker_names=("anna", "bert"))
    with pytest.raises(InputError, match="be one of the set's speakers"):
        events.speaker("bert")
