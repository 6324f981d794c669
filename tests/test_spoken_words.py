"""Synthesised words beside the recordings of a few people."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from words import hums, speaks, spoken

from lava_1m1t1r import cli
from lava_1m1t1r.datasets import SHD_KEYS, InnerEar, SpokenDigits, SpokenWords, made_data, speech, voices, write_shd
from lava_1m1t1r.datasets.speech import languages
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.recipes import data, synthetic
from lava_1m1t1r.recipes.synthetic import Synthetic


def heard_of(monkeypatch, words=("up", "turn_left", "fuenf"), **arguments):
    """What the synthesiser is asked for, and what the ear hears of it."""
    asked, heard = [], []

    def synthesize(requests, title):
        asked.extend(requests)
        return [np.sin(np.arange(4410) * 2 * np.pi * 1000 / speech.RATE) + np.sin(np.arange(4410) * 2.8) for _ in requests]

    def encode(self, sounds, indices, **_):
        heard.extend(sounds)
        return [(np.array([0.5]), np.array([1]))] * len(sounds)

    monkeypatch.setattr(made_data, "require_synthesiser", lambda: None)
    monkeypatch.setattr(voices, "synthesize", synthesize)
    monkeypatch.setattr(InnerEar, "encode", encode)
    return SpokenWords(words, progress=False, **arguments), asked, heard


def test_each_word_is_spoken_by_many_voices_in_its_language(tmp_path, monkeypatch):
    events, asked, _ = heard_of(monkeypatch, n_per_class=50, root=tmp_path)
    assert events.keys == ("up", "turn_left", "fuenf") and list(events.labels) == [0, 1, 2] * 50
    assert [request.text for request in asked[:3]] == ["up", "turn left", "fünf"]
    for label in range(3):
        spoken_by = [request.voice.partition("+") for request in asked[label::3]]
        assert {variant for _, _, variant in spoken_by} == set(voices.TRAIN_VOICES)
        assert {language for language, _, _ in spoken_by} == set(voices.GERMAN if label == 2 else voices.ENGLISH)
        assert [variant for _, _, variant in spoken_by] == [events.speaker_names[s] for s in events.speakers[label::3]]
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("spoken_words_")


def test_null_is_german_among_german_digits_alone(tmp_path, monkeypatch):
    for words, language in ((("valid", "null"), "en"), (("null", "eins"), "de")):
        _, asked, _ = heard_of(monkeypatch, words, n_per_class=1, root=tmp_path)
        assert all(request.voice.startswith(language) for request in asked if request.text == "null")


def test_german_digits_may_be_capitalised_and_have_their_umlaut(tmp_path, monkeypatch):
    cases = (("Null", "Eins", "fünf"), ("null", "eins", "fünf")), (("FUENF", "Null"), ("fünf", "null")), (("FU\u0308NF",), ("fünf",))
    for words, heard in cases:
        _, asked, _ = heard_of(monkeypatch, words, n_per_class=1, root=tmp_path)
        assert tuple(request.text for request in asked) == heard and all(request.voice.startswith("de") for request in asked)
    _, asked, _ = heard_of(monkeypatch, ("Null", "void"), n_per_class=1, root=tmp_path)
    assert [request.text for request in asked] == ["Null", "void"] and all(request.voice.startswith("en") for request in asked)


def test_a_language_is_spoken_in_all_words(tmp_path, monkeypatch):
    for language, word in (("fr", "fuenf"), ("de", "fünf")):
        _, asked, _ = heard_of(monkeypatch, n_per_class=2, language=language, root=tmp_path)
        assert [request.text for request in asked[:3]] == ["up", "turn left", word]
        assert {request.voice.partition("+")[0] for request in asked} == {language}


@pytest.mark.parametrize("rate", [None, 8000, 96_000])
def test_a_recordings_band_is_that_of_its_sampling_rate(rate, tmp_path, monkeypatch):
    """Two tones, of 1 and 9.8 kHz at the synthesiser's rate: the upper one is none in a recording of 8 kHz."""
    _, _, heard = heard_of(monkeypatch, n_per_class=2, rate=rate, root=tmp_path)
    for audio, at in heard:
        assert (at == 8000) if rate == 8000 else abs(at / speech.RATE - 1) < 0.084
        power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
        low = np.arange(len(power)) * at / len(audio) < 3000
        assert power[low].sum() > 1e3 and (power[~low].sum() < 1e-3 * power[low].sum()) == (rate == 8000)
        assert len(audio) / at == pytest.approx(4410 / speech.RATE, rel=0.1)


def test_other_arguments_are_other_data(tmp_path, monkeypatch):
    calls = hums(monkeypatch)
    usual = dict(words=["a", "b"], n_per_class=1, root=tmp_path, threads=1, progress=False)
    first = SpokenWords(**usual)
    assert SpokenWords(**usual) == first and calls == [2]
    for change in ({"words": ["b", "a"]}, {"words": ["a", "c"]}, {"n_per_class": 2}, {"rate": 8000}, {"language": "de"}, {"seed": 1}):
        before = len(calls)
        SpokenWords(**usual | change)
        assert len(calls) == before + 1, change


def test_the_ear_draws_for_words_as_for_no_spoken_digits(tmp_path, monkeypatch):
    """The draws follow the places, and these the labels: of sets that share them, the one's draws tell the other's labels."""
    hums(monkeypatch)
    drawn = []

    def encode(self, sounds, indices, **_):
        drawn.append({(self.seed, index) for index in indices})
        return [(np.array([0.5]), np.array([1]))] * len(sounds)

    monkeypatch.setattr(InnerEar, "encode", encode)
    for seed in range(3):
        SpokenWords(SHD_KEYS, 1, seed=seed, root=tmp_path, progress=False)
        for train in (True, False):
            SpokenDigits(tmp_path, train, 1, seed, progress=False)
    assert [len(draws) for draws in drawn] == [20] * 9 and len(set().union(*drawn)) == 180


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"words": "seven"}, "words must be a list of words"),
        ({"words": []}, "words must be a list"),
        ({"words": ["a", "a"]}, "words must differ from each other; got 'a'"),
        *(({"words": ["a", word]}, "words must be printable text with a letter or digit") for word in ("_", "?", "", "a\tb", "a" * 101, 7)),
        ({"n_per_class": 0}, "n_per_class must be"),
        ({"rate": 3000}, "rate must be"),
        ({"language": "en+m3" if languages() else 7}, r"language \(--language\) must be a language code"),
        ({"language": "xx" if languages() else 7}, "language code of eSpeak NG"),
        ({"threads": 0}, "threads must be"),
    ],
)
def test_wrong_words_are_refused_before_one_is_spoken(change, words, tmp_path, monkeypatch):
    monkeypatch.setattr(voices, "synthesize", lambda *_: pytest.fail("it began"))
    with pytest.raises(InputError, match=words):
        SpokenWords(**{"words": ["a"], "n_per_class": 1, "root": tmp_path, "progress": False} | change)
    assert not list(tmp_path.iterdir())


@speaks
def test_spoken_words_are_the_same_with_any_threads(tmp_path):
    first, again = (SpokenWords(["yes", "zwei"], 2, rate=8000, root=tmp_path / f"{n}", threads=n, progress=False) for n in (1, 2))
    assert first == again and np.all(np.diff(first.offsets) > 1000) and np.all(first.durations < 1.5)


@speaks
def test_words_that_the_synthesiser_says_alike_are_refused(tmp_path):
    """In English it says "Chinese letter" for each: all classes would be one sound."""
    with pytest.raises(InputError, match=r"words must sound different from each other when spoken in en-us; got \['零', '一'\]"):
        SpokenWords(["零", "zero", "一"], 1, root=tmp_path, progress=False)
    with pytest.raises(InputError, match=r"words must sound different from each other when spoken in de; got \['fünf', 'fuenf'\]"):
        SpokenWords(["fünf", "fuenf"], 1, root=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())
    for words, language in ((["零", "一"], "cmn"), (["zéro", "été"], None)):
        assert len(SpokenWords(words, 1, language=language, root=tmp_path, progress=False)) == 2


def people(**changes):
    """A file of three speakers, whose classes are not SHD's, and not all occur."""
    events = spoken((4, 4, 4))
    return replace(events, **{"keys": ("up", "down", "left", "never"), **changes})


@pytest.mark.parametrize("who", [1, 2])
def test_training_hears_synthesised_voices_and_the_test_does_not(who, tmp_path, monkeypatch):
    monkeypatch.setenv(made_data.CACHE_VARIABLE, str(tmp_path / "cache"))
    hums(monkeypatch)
    split = data.load(write_shd(tmp_path / "people.h5", people(speaker_names=("ann", "bob", "eve"))), who)
    more = Synthetic(2).added(split)
    first = more.train[: len(split.train)]
    assert more.test is split.test and first == replace(split.train, speaker_names=more.train.speaker_names)
    synthesised = more.train[len(split.train) :]
    assert len(synthesised) == 6 and list(synthesised.labels) == [0, 1, 2] * 2 and more.train.keys == people().keys
    names = {more.train.speaker_names[speaker] for speaker in synthesised.speakers}
    assert all(name.startswith("synthesised ") for name in names)
    assert not set(synthesised.speakers) & set(split.train.speakers) and not set(synthesised.speakers) & set(split.test.speakers)


@pytest.mark.parametrize("who", [0, 2])
def test_people_without_names_may_have_any_numbers(who, monkeypatch):
    """Names up to the largest would take minutes and gigabytes."""
    monkeypatch.setattr(synthetic, "SpokenWords", lambda words, *_: people(keys=tuple(words), speaker_names=("f1", "f3", "f4")))
    events = replace(people(), speakers=people().speakers + 10**15)
    split = data.Split(events.without_speakers(10**15 + who), events.of_speakers(10**15 + who), "people", "a speaker")
    train = Synthetic(4).added(split).train
    np.testing.assert_array_equal(train[: len(split.train)].speakers, split.train.speakers)
    np.testing.assert_array_equal(train[len(split.train) :].speakers, people().speakers + 10**15 + 3)


def test_people_of_a_test_file_without_names_may_have_any_numbers(monkeypatch):
    monkeypatch.setattr(synthetic, "SpokenWords", lambda words, *_: people(keys=tuple(words), speaker_names=("f1", "f3", "f4")))
    named = people(speaker_names=("ann", "bob", "eve"))
    train = Synthetic(4).added(data.Split(named, replace(people(), speakers=people().speakers + 10**15), "people", "a file")).train
    assert train[: len(named)] == named and train.speaker_names == named.speaker_names
    np.testing.assert_array_equal(train[len(named) :].speakers, people().speakers + 10**15 + 3)


def test_synthesised_voices_have_the_band_and_the_language_that_are_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(synthetic, "SpokenWords", lambda *given: seen.append(given) or people(keys=("up", "down", "left")))
    events = people()
    Synthetic(4, 8000, "fr").added(data.Split(events.without_speakers(1), events.of_speakers(1), "people", "speaker 1"))
    assert seen == [(["up", "down", "left"], 4, 8000, "fr")]


def test_synthesised_words_have_the_classes_of_their_names_where_one_before_them_is_never_said(monkeypatch):
    monkeypatch.setattr(synthetic, "SpokenWords", lambda words, *_: people(keys=tuple(words)))
    events = replace(people(keys=("up", "never", "down", "left")), labels=np.array([0, 2, 3])[people().labels])
    split = data.Split(events.without_speakers(1), events.of_speakers(1), "people", "speaker 1")
    synthesised = Synthetic(4).added(split).train[len(split.train) :]
    np.testing.assert_array_equal(synthesised.labels, events.labels)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keys": ()}, "--synthetic must be used with data that name their classes"),
        ({"n_channels": 710}, "inner ear's 700 channels; got 710"),
    ],
)
def test_what_cannot_be_spoken_is_refused(changes, words, monkeypatch):
    monkeypatch.setattr(voices, "synthesize", lambda *_: pytest.fail("it began"))
    events = people(**changes)
    split = data.Split(events.without_speakers(1), events.of_speakers(1), "people", "speaker 1")
    with pytest.raises(InputError, match=words):
        Synthetic(2).added(split)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--synthetic", "2"], "--synthetic must be used with --data"),
        (["--recorded-at", "8000"], "--recorded-at must be used with --synthetic"),
        (["--language", "fr"], "--language must be used with --synthetic"),
        (["--synthetic", "0", "--data", "x.h5"], r"\(--synthetic\) must be"),
        (["--synthetic", "2", "--recorded-at", "8", "--data", "x.h5"], r"\(--recorded-at\) must be"),
    ],
)
@pytest.mark.train
def test_options_that_do_not_go_together_are_named(options, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *options]) == cli.USAGE_ERROR
    assert re.search(words, capsys.readouterr().err)


@speaks
@pytest.mark.train
@pytest.mark.timeout(900)
def test_few_people_are_told_of_synthesised_voices_and_train_with_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(made_data.CACHE_VARIABLE, str(tmp_path / "cache"))
    path = write_shd(tmp_path / "people.h5", people())
    options = ["train", "--data", str(path), "--leave-out", "1", "--hidden", "8", "--epochs", "1", "-o", str(tmp_path / "out")]
    assert cli.main(options) == 0
    alone = json.loads((tmp_path / "out" / "results.json").read_text())
    assert "recordings of 2 speakers are few" in capsys.readouterr().err and alone["synthetic"] is None
    assert cli.main([*options, "--synthetic", "2", "--recorded-at", "8000"]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["synthetic"] == {"per_class": 2, "rate": 8000, "language": None}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Trained on 14 utterances (2 of each class synthesised) of " in page and "the same, adapted to each speaker" in page
    assert results["frames"]["train"].startswith(f"{8 + 6} utterances") and results["frames"]["test"] == alone["frames"]["test"]
    assert "speakers are few" not in capsys.readouterr().err
    assert cli.main([*options, "--resume"]) == cli.USAGE_ERROR  # of other utterances
