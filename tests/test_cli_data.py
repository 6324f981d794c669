"""Sets of utterances behind the commands: recordings that are encoded, files that are loaded, and what training and test set must share."""

import json
import os
import sys
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from words import spoken

from lava_1m1t1r import cli
from lava_1m1t1r.commands import encode
from lava_1m1t1r.datasets import EventSet, InnerEar, read_shd, shd, wav_folder, write_shd
from lava_1m1t1r.datasets.binning import BinnedEvents, bin_of
from lava_1m1t1r.datasets.shd_file import as_stored, read_meta
from lava_1m1t1r.errors import FormatError, InputError
from lava_1m1t1r.recipes import data
from lava_1m1t1r.recipes.task import recipe


def test_classes_of_two_files_are_known_by_their_names(tmp_path, capsys):
    made = {"train": ("one", "two", "three"), "same": ("one", "two"), "sorted": ("one", "three", "two"), "new": ("four", "one", "two")}
    for place, (name, keys) in enumerate(made.items()):
        labels, spikes = np.arange(3) % len(keys), [(np.array([0.0, 0.5], np.float32), np.array([0, place]))] * 3
        write_shd(tmp_path / f"{name}.h5", EventSet.from_utterances(spikes, labels, [0, 0, 0], keys=keys))
    of = {name: data.load(tmp_path / "train.h5", test=tmp_path / f"{name}.h5").test for name in ("same", "sorted", "new")}
    assert of["same"].labels.tolist() == [0, 1, 0] and of["same"].keys == ("one", "two")
    assert of["sorted"].labels.tolist() == [0, 2, 1] and of["sorted"].keys == ("one", "two", "three")
    assert of["new"].labels.tolist() == [3, 0, 1] and of["new"].keys == ("one", "two", "three", "four")
    assert capsys.readouterr().err.count("numbered as in training, by their names") == 2
    assert data.fitted(recipe("recordings"), data.load(tmp_path / "train.h5", test=tmp_path / "new.h5")).classes == 4
    assert "no utterance of 1 class of the test set (four)" in capsys.readouterr().err


def test_sizes_of_spoken_digits_are_checked_before_one_set_is_made(monkeypatch):
    """Of a test set that is too large, the training set was made first, and the error named neither."""
    monkeypatch.setattr(data, "SpokenDigits", lambda **_: pytest.fail("a set is made"))
    for name, option in (("train_per_class", "--train-per-class"), ("test_per_class", "--test-per-class")):
        with pytest.raises(InputError, match=rf"{name} \({option}\) must be a whole number from 1 to 100000; got 100001"):
            data.load(**{name: 100_001})


def test_only_classes_that_occur_follow_those_of_training():
    test = EventSet.from_utterances([([0.1], [1])] * 2, [2, 1], keys=("c", "d", "b"))
    found = data.numbered_as(("a", "b"), test)
    assert found.keys == ("a", "b", "d") and found.labels.tolist() == [1, 2]


def test_frames_know_the_speakers_of_their_utterances():
    events = EventSet.from_utterances([([0.5], [0])] * 4, [0, 1, 1, 0], [3, 0, 7, 7])
    assert data.frames_of(events, recipe("recordings")).speakers.tolist() == [3, 0, 7, 7]
    frames = data.frames_of(EventSet.from_utterances([([0.5], [0])] * 4, [0, 1, 1, 0]), recipe("recordings"))
    assert frames.speakers is None
    for wrong in ([0, 1], [0, 1, 2, -1], [0.5, 1, 2, 3]):
        with pytest.raises(InputError, match=r"Frames.speakers must be None or numbers >= 0 \(4,\)"):
            replace(frames, speakers=wrong)


def test_utterances_that_end_on_an_edge_are_held_whole():
    events = EventSet.from_utterances([([0.5, 1.0], [0, 1])] * 10, [0, 1] * 5)
    task = recipe("recordings")
    assert data.steps_for(events, task) == 101
    assert data.frames_of(events, task.replace(n_steps=101)).cropped == 0.0
    assert data.frames_of(events, task.replace(n_steps=100)).cropped == 0.5
    slow = EventSet.from_utterances([([0.5, 700.0], [0, 1])] * 10, [0, 1] * 5)  # seconds, in bins of a tenth
    assert data.steps_for(slow, task.replace(dt=0.1)) == 7001
    with pytest.raises(InputError, match="utterances must last up to 100 s.*half of them longer than 700 s"):
        data.steps_for(slow, task)
    just_before = EventSet.from_utterances([([0.5, 1.0 - 1e-8], [0, 1])] * 10, [0, 1] * 5)  # in the same bin, by its rounding
    assert data.steps_for(just_before, task) == 101
    split = data.Split(slow, slow, "slow", "half")
    with pytest.raises(InputError, match="utterances must last up to 100 s"):
        data.fitted(task, split, steps=50)
    odd = EventSet.from_utterances([([0.5, 1.0], [0, 1])] * 9 + [([0.5, 30.0], [0, 1])], [0, 1] * 5)
    with pytest.raises(InputError, match=r"utterances must be about as long as each other .* or crop it \(train and evaluate: --steps\)"):
        data.fitted(task, data.Split(odd, odd, "odd", "all"))
    assert data.fitted(task, data.Split(odd, odd, "odd", "all"), steps=50).n_steps == 50
    cropped = data.frames_of(just_before, task.replace(n_steps=100))
    assert (cropped.cropped, cropped.merged) == (0.5, 0.0)


def test_a_few_long_utterances_do_not_lengthen_all_the_others():
    task = recipe("recordings").replace(dt=0.01, n_steps=20)
    long = EventSet.from_utterances([([0.995], [0])] * 300 + [([8.0], [0])], [0] * 301)
    assert data.steps_for(long, task) == 100
    short = EventSet.from_utterances([([0.1], [0])] * 300, [0] * 300)
    assert data.steps_for(short, task) == 20  # never fewer than the task's


def test_sets_that_do_not_suit_each_other_are_told(capsys):
    spikes, empty = ([0.0, 0.5], [0, 600]), ([], [])
    made = lambda labels, utterance=spikes: EventSet.from_utterances([utterance] * len(labels), labels)  # noqa: E731
    task = data.fitted(recipe("recordings"), data.Split(made([0, 1]), made([1, 2, 3]), "words", "others"))
    assert task.classes == 4
    assert "no utterance of 2 classes of the test set (2, 3)" in capsys.readouterr().err
    data.fitted(recipe("recordings"), data.Split(made([0, 1, 2]), made([1]), "words", "others"))
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match="words: the test set must hold at least one spike; got '2 empty utterances'"):
        data.fitted(recipe("recordings"), data.Split(made([0, 1]), made([0, 1], empty), "words", "others"))


def test_classes_channels_and_length_are_fitted_to_the_data(capsys):
    def made(labels, channels=700, ends=(0.5,)):
        spikes = [([0.0, end], [0, channels - 1]) for end in ends] * len(labels)
        return EventSet.from_utterances(spikes, np.repeat(labels, len(ends)), n_channels=channels)

    def fitted(train, test):
        return data.fitted(recipe("recordings"), data.Split(train, test, "words", "others"))

    assert [fitted(made([0, 1], n), made([1], n)).channels for n in (100, 140, 700)] == [100, 140, 140]
    with pytest.raises(InputError, match=r"words: channels must be the same in training and test; got \(100, 70\)"):
        fitted(made([0, 1], 100), made([0, 1], 70))
    with pytest.raises(InputError, match="words: labels must name at least two classes; got 1"):
        fitted(made([0, 0]), made([0]))
    assert capsys.readouterr().err == ""
    assert fitted(made([0, 4]), made([0, 2])).classes == 5
    assert "no utterance is of 2 of the classes 0 to 4 (1, 3): outputs without use." in capsys.readouterr().err
    assert fitted(made([0, 1], ends=[*[1.2] * 200, 5.0]), made([1])).n_steps == 121
    assert fitted(made([0, 1], ends=[7.0] * 40 + [12.0] * 2), made([1])).n_steps == 1201  # long, as others are


def test_names_of_classes_are_those_of_the_set_that_names_more():
    one, two = (EventSet.from_utterances([([0.1], [1])], [0], keys=keys) for keys in (("a",), ("a", "b")))
    for split in (data.Split(one, two, "words", "others"), data.Split(two, one, "words", "others")):
        assert [data.names_of(split, classes) for classes in (1, 2, 3)] == [("a",), ("a", "b"), ()]


def test_outputs_have_names_only_where_all_of_them_have():
    events = EventSet.from_utterances([([0.1], [1])], [0], keys=("a", "b"))
    split = data.Split(events, replace(events, keys=()), "some", "others")
    assert [data.names_of(split, classes) for classes in (1, 2, 3)] == [("a",), ("a", "b"), ()]


def test_frames_are_told_apart_by_events_counts_and_labels():
    def digest(times=(0.1, 0.2), units=(1, 2), label=0):
        events = EventSet.from_utterances([(times, units)], [label], n_channels=9)
        return data.frames_of(events, recipe("recordings").replace(channels=9)).digest

    assert digest() == digest()
    assert len({digest(), digest(times=(0.1, 0.3)), digest(units=(1, 3)), digest(label=1)}) == 4


def test_the_digest_of_frames_is_of_all_their_events_and_labels(rng):
    x = (rng.random((3, 8, 20)) < 0.2).astype(np.uint8)
    other = x.copy()
    other[2, 7, :] ^= 1
    labels = np.array([0, 1, 0])
    told = [
        data.Frames(BinnedEvents.of(given), of, 0.0).digest
        for given, of in ((x, labels), (other, labels), (x, labels[::-1] ^ 1), (x, labels))
    ]
    assert told[0] == told[3] and len(set(told)) == 3
    frames = data.Frames(BinnedEvents.of(x), labels.copy(), 0.0)
    assert frames.digest == told[0]
    frames.labels[:] = labels[::-1] ^ 1  # a label that is put right: the checkpoint is of other data
    assert frames.digest == told[2]


@pytest.mark.parametrize(
    ("latest", "dt", "told"),
    [(4.5, 1e-3, "steps of 3.91 ms at 4.5 s: coarser than bins of 1 ms"), (4.5, 0.01, ""), (0.9, 1e-3, ""), (4.5, 2.0**-8, "")],
)
def test_times_stored_too_coarsely_for_the_bins_are_told(latest, dt, told, tmp_path, capsys):
    times = np.sort(np.random.default_rng(0).uniform(0, latest, 50)).astype(np.float32)
    times[-1] = latest
    events = EventSet.from_utterances([(times, np.arange(50))] * 2, [0, 1])
    for found, words in ((events, ""), (read_shd(write_shd(tmp_path / "a.h5", as_stored(events))), told)):
        data.fitted(recipe("recordings").replace(dt=dt), data.Split(found, found, "words", "others"))
        said = capsys.readouterr().err
        assert words in said and ("float16" in said) == bool(words)


@pytest.mark.parametrize(("dt", "offset", "told"), [(0.01, 0.0, True), (0.01, 0.5, False), (2.0**-7, 0.0, False)])
def test_edges_of_bins_that_are_stored_in_the_bin_before_are_told(dt, offset, told, capsys):
    times = ((np.arange(90) + offset) * dt).astype(np.float32)
    found = as_stored(EventSet.from_utterances([(times, np.arange(90) % 9)] * 2, [0, 1]))
    data.fitted(recipe("recordings").replace(dt=dt), data.Split(found, found, "words", "others"))
    early = float(np.mean(bin_of(found[0].times, dt) < np.arange(90)))
    words = f"and are multiples of 10 ms, which rounds {early:.0%} of them into the bin before. Half a bin later"
    assert (early > 0.2) == told == (words in capsys.readouterr().err)


def test_times_that_are_beside_edges_by_chance_are_not_taken_for_edges(rng, capsys):
    for least, dt in ((1.0, 1e-3), (0.5, 0.5e-3)):  # float16 has steps of about dt there
        times = np.sort(rng.uniform(least, 1.9 * least, 400)).astype(np.float32)
        found = as_stored(EventSet.from_utterances([(times, np.arange(400) % 140)] * 2, [0, 1], n_channels=140))
        data.fitted(recipe("recordings").replace(dt=dt), data.Split(found, found, "words", "others"))
        assert "multiples" not in capsys.readouterr().err


def test_only_shd_itself_and_spoken_digits_bear_their_names(tmp_path, capsys):
    (tmp_path / "SHD").mkdir()
    for name in ("SHD/shd_train.h5", "SHD/shd_test.h5", "SHD.h5", "SpokenDigits.h5", "shd_train.h5"):
        write_shd(tmp_path / name, spoken((3, 3), seed=len(name)))
    found = [data.load(tmp_path / name).name for name in ("SHD", "SHD.h5", "SpokenDigits.h5", "shd_train.h5")]
    assert found == ["SHD (other data)", "SHD (other data)", "SpokenDigits (other data)", "shd_train"]
    assert "SHD holds 6 and 6 utterances" in capsys.readouterr().err


@pytest.mark.parametrize(("highest", "channels", "told"), [(47, 48, "4 of the 48"), (349, 700, "350 of the 700"), (350, 700, "")])
def test_files_that_seem_to_have_fewer_channels_than_they_say_are_told(highest, channels, told, capsys):
    train = EventSet.from_utterances([([0.1, 0.2], [0, 2])] * 2, [0, 1])
    test = EventSet.from_utterances([([0.1], [highest])], [0])
    task = data.fitted(recipe("recordings").replace(channels=channels), data.Split(train, test, "mine", "others"))
    frames, said = data.frames_of(test, task).dense(), capsys.readouterr().err
    words = (
        f"mine are of channels 0 to {highest} of 700, which fall into {frames.any((0, 1)).nonzero()[0][-1] + 1} of the {channels} inputs"
    )
    assert (words in said) == bool(told) and told in said and ("n_channels" in said) == bool(told)


def record(folder, words, names):
    """A folder of recordings ``<word>/<name>.wav``."""
    rng = np.random.default_rng(0)
    for word in words:
        (folder / word).mkdir(parents=True)
        for name in names:
            with wave.open(str(folder / word / f"{name}.wav"), "wb") as file:
                file.setparams((1, 2, 16000, 0, "NONE", ""))
                file.writeframes((3000 * rng.standard_normal(4000)).astype("<i2").tobytes())
    return str(folder)


@pytest.mark.timeout(900)
def test_recordings_become_a_file_to_train_on(tmp_path, capsys):
    folder, out = record(tmp_path / "wavs", ("ja", "nein"), ("1_anna_2", "2_jörg_1")), tmp_path / "new" / "mine.h5"
    assert cli.main(["encode", folder, "-o", str(out), "--speaker", r"_(\w+)_", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    events = read_shd(out)
    assert found["classes"] == list(events.keys) == ["ja", "nein"] and found["speakers"] == list(events.speaker_names) == ["anna", "jörg"]
    assert len(events) == 4 and events.labels.tolist() == [0, 0, 1, 1] and events.speakers.tolist() == [0, 1, 0, 1]
    np.testing.assert_array_equal(events.units, wav_folder(folder, progress=False).units)
    for arguments, words in (
        ([folder, "-o", str(tmp_path / "a.txt")], "--out must be a file ending in .h5"),
        ([folder, "-o", str(tmp_path / "a.h5"), "--speaker", "("], "--speaker must be a regular expression"),
        ([folder, "-o", str(tmp_path / "a.h5"), "--speaker", "bob"], "must have a speaker in its name that matches --speaker 'bob'"),
        ([str(tmp_path / "nowhere"), "-o", str(tmp_path / "a.h5")], "path must exist"),
    ):
        assert cli.main(["encode", *arguments]) == 2
        assert words in capsys.readouterr().err and not (tmp_path / "a.h5").exists()
    assert cli.main(["encode", folder, "-o", str(out)]) == 0
    assert "Training on one file leaves one speaker out: name the speakers (--speaker" in capsys.readouterr().out
    with pytest.raises(FormatError, match="lava-1m1t1r encode"):
        read_shd(tmp_path / "wavs" / "ja" / "1_anna_2.wav")
    with pytest.raises(FormatError, match="lava-1m1t1r encode .*wavs -o FILE.h5"):
        shd(folder)


def test_recordings_are_encoded_with_the_seed_that_is_given(tmp_path, capsys):
    folder, out = record(tmp_path / "anna", ("ja",), ("bob1_x", "cy2_x")), tmp_path / "mine.h5"
    assert cli.main(["encode", folder, "-o", str(out), "--seed", "3", "--speaker", "bob|cy|anna", "--json"]) == 0
    found, events = json.loads(capsys.readouterr().out), read_shd(out)
    assert found["utterances"] == len(events) == 2 and found["speakers"] == ["bob", "cy"] and events.speakers.tolist() == [0, 1]
    of_seed = [wav_folder(folder, ear=InnerEar(seed=seed), progress=False).units for seed in (0, 3)]
    assert np.array_equal(events.units, of_seed[1]) and not np.array_equal(*of_seed)
    assert read_meta(out, "encoder").endswith(", InnerEar(seed=3)")


def test_folders_without_recordings_and_files_of_two_labels_are_told(tmp_path):
    folder = record(tmp_path / "wavs", ("ja", "nein"), ("a",))
    for name in ("ja/inner", "anna/x", ".hidden"):
        (tmp_path / "wavs" / name).mkdir(parents=True)
    (tmp_path / "wavs" / "anna" / "1.wave").touch()
    (tmp_path / "wavs" / ".hidden" / "old.wav").touch()
    (tmp_path / "wavs" / "ja" / "._a.wav").write_bytes(b"Mac OS X")
    with pytest.warns(UserWarning, match="wavs: no .wav file lies directly in anna: no class is made of it"):
        assert wav_folder(folder, progress=False).keys == ("ja", "nein")
    (tmp_path / "list.csv").write_text("file,label\nwavs/ja/a.wav,ja\nwavs/nein/a.wav,nein\nwavs/ja/a.wav,yes\nwavs/ja/a.wav,ja\n")
    with pytest.warns(UserWarning, match="list.csv: 1 file with several labels each: a.wav"):
        assert len(wav_folder(tmp_path / "list.csv", progress=False)) == 4


def test_speakers_of_files_may_be_unknown(tmp_path):
    folder = record(tmp_path / "wavs", ("ja",), ("anna_1", "ben_1", "who"))
    events = wav_folder(folder, {"anna_1": "anna", "ben_1": "ben"}.get, progress=False)  # of paths: all are unknown
    assert events.speakers.tolist() == [-1] * 3 and events.speaker_names == ()
    events = wav_folder(folder, lambda file: {"anna_1": "anna", "ben_1": "ben"}.get(file.stem), progress=False)
    assert events.speakers.tolist() == [0, 1, -1] and events.speaker_names == ("anna", "ben")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("offset", "told"), [(0, False), (1000, False), (2000, True), (-2000, True)])
def test_a_constant_offset_that_hides_the_sound_is_told(offset, told, tmp_path):
    """The sound's rms is 3000 counts."""
    file = Path(record(tmp_path / "wavs", ("ja",), ("a",))) / "ja" / "a.wav"
    content = file.read_bytes()
    file.write_bytes(content[:44] + (np.frombuffer(content[44:], "<i2") + offset).astype("<i2").tobytes())
    if told:
        with pytest.warns(UserWarning, match="1 recording .*a.wav. with a constant offset above 0.5 of the sound's rms"):
            wav_folder(tmp_path / "wavs", progress=False)
    else:
        wav_folder(tmp_path / "wavs", progress=False)


def test_speakers_with_accents_are_found_whichever_system_made_the_files():
    """macOS spells them as a letter and a mark, at which a pattern's \\w ends."""
    speaker_of = encode._speaker_by(r"_(\w+)_")
    assert [speaker_of(Path(f"1_{name}_2.wav")) for name in ("zoe", "zoe\u0308", "zo\u00eb")] == ["zoe", "zo\u00eb", "zo\u00eb"]
    assert encode._speaker_by("_(zoe\u0308|zoe)_")(Path("1_zo\u00eb_2.wav")) == "zo\u00eb"


@pytest.mark.parametrize("pattern", [r"\d*", r"a(\d*)", "", "b"])
def test_a_file_in_whose_name_no_speaker_is_found_is_told(pattern):
    """An empty match once was a speaker without a name, the same for all files."""
    with pytest.raises(FormatError, match="a_3.wav must have a speaker in its name that matches --speaker .*; got 'a_3'"):
        encode._speaker_by(pattern)(Path("a_3.wav"))


def test_what_cannot_be_encoded_is_told_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(InnerEar, "encode", lambda *_: pytest.fail("the work began"))
    folder = record(tmp_path / "wavs", ("ja",), ("anna",))
    monkeypatch.chdir(folder)
    (tmp_path / "list.csv").write_text("file,label\nwavs/ja/anna.wav,ja\n")
    (tmp_path / "list.h5").write_text((tmp_path / "list.csv").read_text())
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "file").touch()
    listed = str(tmp_path / "list.csv")
    for source, out, options, words in (
        (folder, "folder.h5", [], "--out must be a file ending in .h5"),
        (folder, "file/a.h5", [], "--out must be a folder, or inside one"),
        (folder, "a.h5", ["--seed", "-1"], "--seed must be a whole number from 0"),
        (listed, "a.h5", ["--speaker", "(.*)"], "--speaker must be used with a folder; got '(.*)'. A CSV file has a column for it"),
        (str(tmp_path / "list.h5"), "list.h5", [], "--out must be another file than the list of recordings; got"),
        ("", "a.h5", [], "recordings must be a path; got ''"),  # a shell's variable that is not set, and not the current folder
    ):
        assert cli.main(["encode", source, "-o", str(tmp_path / out), *options]) == cli.USAGE_ERROR
        assert words in capsys.readouterr().err and not (tmp_path / "a.h5").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_labels_that_no_file_can_hold_are_told_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(InnerEar, "encode", lambda *_: pytest.fail("the work began"))
    folder = Path(record(tmp_path / "wavs", ("ja", "nein"), ("anna",)))
    os.rename(folder / "ja", os.fsencode(folder) + b"/f\xfcnf")
    assert cli.main(["encode", str(folder), "-o", str(tmp_path / "a.h5")]) == cli.USAGE_ERROR
    assert "labels must be text that a file can hold; got 'f\\udcfcnf'. Rename it." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["j\x1b[31m", "x" * 201, "1" * 5000], ids=["controls", "long", "digits"])
@pytest.mark.parametrize("column", ["label", "speaker"])
def test_names_that_no_set_can_have_are_told_before_the_work(column, name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(InnerEar, "encode", lambda *_: pytest.fail("the work began"))
    record(tmp_path / "wavs", ("ja",), ("anna",))
    (tmp_path / "list.csv").write_text(f"file,label,speaker\nwavs/ja/anna.wav,{name if column == 'label' else 1},{name}\n")
    assert cli.main(["encode", str(tmp_path / "list.csv"), "-o", str(tmp_path / "a.h5")]) == cli.USAGE_ERROR
    assert f"list.csv: {column}s must hold names" in capsys.readouterr().err


def test_a_quote_left_open_swallows_no_rows(tmp_path):
    record(tmp_path / "wavs", ("ja", "nein"), ("anna",))
    rows = ['wavs/ja/anna.wav,ja,5" from the mouth', 'wavs/nein/anna.wav,nein,"5 inches', "wavs/ja/anna.wav,nein,far"]
    (tmp_path / "list.csv").write_text("\n".join(["file,label,note", *rows, ""]))
    with pytest.warns(UserWarning, match="not read: note"), pytest.raises(FormatError, match="line 4 must hold no value of several lines"):
        wav_folder(tmp_path / "list.csv", progress=False)


def test_a_quote_left_open_in_a_column_without_a_name_swallows_no_rows(tmp_path):
    (tmp_path / "list.csv").write_text('file,label,,\na.wav,one,"oops,\nb.wav,two,,\nc.wav,three,,\n')
    with pytest.raises(FormatError, match="must hold no value of several lines"):
        wav_folder(tmp_path / "list.csv", progress=False)


def load(tmp_path, **sets):
    """:func:`.data.load` of events that are first written to files of these names, the second one as the test set."""
    train, *test = [write_shd(tmp_path / f"{name}.h5", events) for name, events in sets.items()]
    return data.load(train, None, *test)


def test_utterances_that_training_has_heard_are_told_and_a_copy_is_no_test_set(tmp_path, capsys):
    train, other = spoken(), spoken(seed=1)
    assert len(load(tmp_path, train=train, other=other).test) == 9 and capsys.readouterr().err == ""
    both = EventSet.from_utterances([(u.times, u.units) for s in (train[:2], other) for u in s], [0, 1, *other.labels], keys=train.keys)
    load(tmp_path, train=train, both=both)
    assert "2 of 11 utterances of the test set (the file both.h5) are in the training set, too" in capsys.readouterr().err
    silent = EventSet.from_utterances([(train[0].times, train[0].units), ([], [])], [0, 1], keys=train.keys)
    mixed = silent.joined(other[:1])
    load(tmp_path, train=train, mixed=mixed)
    assert "1 of 3 utterances of the test set" in capsys.readouterr().err
    load(tmp_path, trained=silent, silent=EventSet.from_utterances([([], []), (other[0].times, other[0].units)], [0, 1], keys=train.keys))
    assert capsys.readouterr().err == ""  # that both hold an empty one tells of nothing
    order = np.concatenate([first + np.lexsort((u.times, u.units)) for first, u in zip(train.offsets, train, strict=False)])
    by_channel = replace(train, times=train.times[order], units=train.units[order])  # as other tools sort
    for copy in (train, train[[4, 2, 7]], as_stored(train), by_channel, silent):
        with pytest.raises(InputError, match=r"train: the test set \(the file copy.h5\) must hold other utterances than the training set"):
            load(tmp_path, train=train, copy=copy)


def test_a_speaker_who_is_left_out_may_have_said_the_same(tmp_path, capsys):
    one = spoken((3,))
    twice = EventSet.from_utterances([(u.times, u.units) for u in one] * 2, [*one.labels] * 2, [0, 0, 0, 1, 1, 1], keys=one.keys)
    split = load(tmp_path, twice=twice)
    assert len(split.train) == len(split.test) == 3 and split.held_out == "speaker 1"
    assert "3 of 3 utterances of the test set (speaker 1) are in the training set, too" in capsys.readouterr().err
    other = EventSet.from_utterances([(u.times, u.units[::-1]) for u in one], one.labels, keys=one.keys)
    assert len(load(tmp_path, one=one, other=other).test) == 3 and capsys.readouterr().err == ""  # at the same times, elsewhere


def test_a_folder_has_its_own_test_set(tmp_path):
    for name in ("shd_train.h5", "shd_test.h5", "more.h5"):
        write_shd(tmp_path / name, spoken())
    with pytest.raises(InputError, match=r"test \(--test-data\) must be used with one file; got '.*more.h5'"):
        data.load(tmp_path, test=str(tmp_path / "more.h5"))


def test_utterances_of_nobody_are_told_where_a_speaker_is_left_out(tmp_path, capsys):
    events = spoken()
    load(tmp_path, some=replace(events, speakers=np.where(events.speakers == 1, -1, events.speakers)))
    assert "the speaker of 3 utterances of " in (told := capsys.readouterr().err) and "is not known: they stay in training" in told
    named = replace(events, speakers=events.speakers - 1, speaker_names=("ann", "bob"))
    assert data.load(write_shd(tmp_path / "named.h5", named), "-1").held_out == "speaker -1" and capsys.readouterr().err == ""


def test_only_shd_itself_is_called_shd(tmp_path, capsys, monkeypatch):
    write_shd(tmp_path / "shd_train.h5", spoken((6, 6, 6)))
    write_shd(tmp_path / "shd_test.h5", spoken(seed=1))
    split = data.load(tmp_path)
    assert split.name == tmp_path.name and "18 and 9 utterances, SHD 8156 and 2264" in capsys.readouterr().err
    monkeypatch.setattr(data, "SIZES", (18, 9))
    assert data.load(tmp_path).name == data.SHD_NAME and capsys.readouterr().err == ""


def test_spikes_that_do_not_count_are_counted():
    times = np.array([0.001, 0.002, 0.011, 0.5, 0.0012, 0.95], np.float32)
    events = EventSet.from_utterances([(times, np.array([0, 1, 0, 0, 699, 0])), ([0.1], [3])], [0, 1])
    found = data.frames_of(events, recipe("recordings").replace(n_steps=90, channels=140))
    assert found.cropped == pytest.approx(1 / 7) and found.merged == pytest.approx(1 / 7)  # unit 1 falls onto unit 0


def test_frames_tell_which_spikes_were_cropped_and_which_merged():
    times, units = np.array([0.001, 0.002, 0.003, 0.011, 0.5, 0.6, 0.7, 0.8], np.float32), np.array([5, 5, 6, 5, 1, 2, 3, 4])
    events = EventSet.from_utterances([(times, units)], [0], [2], n_channels=20)
    with pytest.warns(UserWarning, match="cropped"):
        found = data.frames_of(events, recipe("recordings").replace(dt=0.01, n_steps=10, channels=20))
    assert (found.cropped, found.merged) == (4 / 8, 1 / 8) and found.speakers.tolist() == [2]
