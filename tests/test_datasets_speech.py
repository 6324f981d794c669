"""Synthesised speech, SpokenDigits and WAV folders."""

import errno
import os
import re
import struct
import sys
import tempfile
import wave
from dataclasses import replace

import numpy as np
import pytest
from command import started
from words import hums, speaks

from lava_1m1t1r.datasets import (
    SHD_KEYS,
    EventSet,
    InnerEar,
    SpokenDigits,
    made_data,
    read_wav,
    shd_file,
    speech,
    spoken_digits,
    voices,
    wav,
    wav_folder,
    write_shd,
)
from lava_1m1t1r.errors import FormatError, InputError, MissingDependencyError

# --- speech -------------------------------------------------------------------------------------------------------


@speaks
def test_the_same_requests_give_the_same_audio():
    requests = [speech.Request(w, v, seed=s) for w, v, s in (("seven", "en-us+m3", 4), ("fünf", "de+f2", 9))]
    first, again = speech.synthesize(requests), speech.synthesize(requests)
    for a, b in zip(first, again, strict=True):
        assert a.dtype == np.int16 and 0.15 < len(a) / speech.RATE < 1.5 and np.abs(a).max() > 1000
        np.testing.assert_array_equal(a, b)


@speaks
def test_the_synthesiser_may_lie_under_a_path_of_any_length_and_letters(monkeypatch, tmp_path):
    import espeakng_loader

    far = tmp_path / ("é" * 100) / "site-packages"  # fewer than 150 characters in many places, and more bytes than the library keeps
    (far / "espeakng_loader").mkdir(parents=True)
    data = far / "espeakng_loader" / "espeak-ng-data"
    data.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    paths = f"get_library_path = lambda: {espeakng_loader.get_library_path()!r}\nget_data_path = lambda: {str(data)!r}\n"
    (far / "espeakng_loader" / "__init__.py").write_text(paths, encoding="utf-8")
    requests = [speech.Request("seven", "en-us+m3")]
    (near,) = speech.synthesize(requests)
    monkeypatch.setenv("PYTHONPATH", str(far), prepend=os.pathsep)
    monkeypatch.setattr(tempfile, "tempdir", str(far))
    np.testing.assert_array_equal(speech.synthesize(requests)[0], near)


@speaks
def test_an_unknown_voice_is_named():
    with pytest.raises(InputError, match="voice must be a voice of eSpeak NG; got 'xx"):
        speech.synthesize([speech.Request("seven", "xx-nowhere")])


@speaks
@pytest.mark.parametrize("variant", ["nosuchvariant", "", "99", "m3+f2"])
def test_an_unknown_variant_is_named(variant):
    with pytest.raises(InputError, match=r"voice must have a variant \(after \+\) of eSpeak NG; got 'en-us\+"):
        speech.synthesize([speech.Request("seven", f"en-us+{variant}")])


@speaks
def test_variants_of_a_number_are_spoken():
    for short, variant in (("3", "m3"), ("12", "f2")):
        one, other = (speech.synthesize([speech.Request("seven", f"en-us+{v}")])[0] for v in (short, variant))
        np.testing.assert_array_equal(one, other)


def test_requests_out_of_range_are_refused():
    for wrong, text in ((dict(speed=20), "from 80 to 450"), (dict(pitch=101), "from 0 to 100"), (dict(text=""), "not be empty")):
        with pytest.raises(InputError, match=text):
            speech.Request(**{"text": "one", "voice": "en", **wrong})


def test_trimming_keeps_the_sound_and_a_margin():
    sound = np.concatenate([np.zeros(5000), np.sin(np.arange(8000) / 5), np.zeros(7000)])
    cut = speech.trimmed(sound, 22_050)
    assert len(cut) == pytest.approx(8000 + 2 * (0.015 + 0.005) * 22_050, abs=40)
    assert np.sum(cut**2) == pytest.approx(np.sum(sound**2))
    assert len(speech.trimmed(np.zeros(100), 22_050)) == 100


def test_trimming_keeps_what_is_up_to_forty_decibels_softer():
    loudness = np.repeat([0.0, 0.02, 1.0, 0.005], 4000)  # -34 and -46 dB
    cut = speech.trimmed(loudness * np.sin(np.arange(16_000) / 5), 22_050)
    assert len(cut) == pytest.approx(8000 + 2 * (0.015 + 0.005) * 22_050, abs=120)


@speaks
def test_words_are_spoken_at_the_speed_and_the_pitch_that_are_asked_for():
    def fundamental(audio):
        lags = np.arange(speech.RATE // 400, speech.RATE // 50)
        sound = audio.astype(float)
        return speech.RATE / lags[np.argmax([np.dot(sound[lag:], sound[:-lag]) / (len(sound) - lag) for lag in lags])]

    settings = (dict(speed=110), dict(speed=350), dict(pitch=10), dict(pitch=90))
    slow, fast, low, high = speech.synthesize([speech.Request("nine", "en-us+m3", pitch_range=0, **setting) for setting in settings])
    assert len(slow) > 1.5 * len(fast) and fundamental(high) > 1.3 * fundamental(low)


def test_without_the_synthesiser_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(speech, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"espeakng-loader.*lava-1m1t1r\[speech\]"):
        SpokenDigits(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


# --- SpokenDigits -------------------------------------------------------------------------------------------------


def test_test_voices_and_their_siblings_are_not_in_the_training_set():
    # siblings share a name up to its number; m and f are kinds, not families
    def family(voice):
        return voice if voice[0] in "mf" and voice[1:].isdigit() else voice.rstrip("0123456789")

    assert not {family(v) for v in voices.TRAIN_VOICES} & {family(v) for v in voices.TEST_VOICES}
    assert len(set(voices.VOICES)) == len(voices.VOICES)


@pytest.mark.parametrize("train", [True, False])
def test_the_plan_is_balanced_and_grows_at_its_end(train):
    plan, longer = (spoken_digits.utterances(train, n, seed=3) for n in (4, 6))
    assert longer[: len(plan)] == plan
    assert [p[0] for p in plan] == list(range(20)) * 4
    names = voices.TRAIN_VOICES if train else voices.TEST_VOICES
    for label, speaker, request, tract in plan:
        language, variant = request.voice.split("+")
        assert variant == voices.VOICES[speaker] and variant in names
        assert language == "de" if label > 9 else language.startswith("en")
        assert 0.92 <= tract <= 1.08
        assert 110 <= request.speed <= 210 and 25 <= request.pitch <= 75 and 20 <= request.pitch_range <= 80
    assert plan != spoken_digits.utterances(train, 4, seed=4)


def test_training_and_test_voices_draw_apart():
    draws = [[(u.request.seed, u.tract) for u in spoken_digits.utterances(train, 2, 3)] for train in (True, False, True)]
    assert not set(draws[0]) & set(draws[1]) and draws[0] == draws[2] and len(set(draws[0])) == 40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threads": 0}, "threads must be a number of threads from 1 to 4096, or -1 for all cores; got 0"),
        ({"threads": -2}, "threads must be a number of threads"),
        ({"classes": [[1], [2, 3]]}, "classes must hold whole numbers from 0 to 19"),
    ],
)
def test_wrong_orders_are_refused_before_a_word_is_spoken(change, words, tmp_path, monkeypatch):
    monkeypatch.setattr(spoken_digits, "_make", lambda *_: pytest.fail("it began"))
    with pytest.raises(InputError, match=words):
        SpokenDigits(tmp_path, train=False, n_per_class=1, progress=False, **change)


@speaks
def test_spoken_digits_are_reproducible_and_cached(tmp_path, monkeypatch):
    first = SpokenDigits(tmp_path / "a", train=False, n_per_class=1, threads=1, progress=False)
    assert len(first) == 20 and list(first.labels) == list(range(20)) and first.keys == SHD_KEYS
    assert {first.speaker_names[s] for s in first.speakers} <= set(voices.TEST_VOICES)
    counts = np.diff(first.offsets)
    assert np.all(counts > 1000) and np.all(counts < 30_000)
    assert np.all((first.durations > 0.15) & (first.durations < 1.5))

    monkeypatch.setenv(made_data.CACHE_VARIABLE, str(tmp_path / "b"))
    again = SpokenDigits(train=False, n_per_class=1, threads=2, progress=False)
    np.testing.assert_array_equal(first.times, again.times)
    np.testing.assert_array_equal(first.units, again.units)
    (file,) = (tmp_path / "b").iterdir()
    assert file.read_bytes() == next((tmp_path / "a").iterdir()).read_bytes()

    few = SpokenDigits(tmp_path / "a", train=False, n_per_class=1, threads=1, progress=False, classes=[12, 3])
    whole = first[np.array([3, 12])]
    assert list(few.labels) == [3, 12] and len(list((tmp_path / "a").iterdir())) == 2
    np.testing.assert_array_equal(few.times, whole.times)
    np.testing.assert_array_equal(few.units, whole.units)

    def never(*_):
        raise AssertionError("the cache was not read")

    monkeypatch.setattr(voices, "synthesize", never)
    cached = SpokenDigits(train=False, n_per_class=1)
    np.testing.assert_array_equal(cached.times, first.times)
    with pytest.raises(AssertionError, match="cache"):
        SpokenDigits(train=False, n_per_class=1, seed=1)  # other arguments, other file
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(AssertionError, match="cache"):
        SpokenDigits(train=False, n_per_class=1)


@pytest.mark.parametrize("train", [True, False])
def test_utterances_are_heard_without_silence_at_their_own_frequencies_and_draws(train, tmp_path, monkeypatch):
    heard = {}

    def encode(self, sounds, indices, **_):
        heard.update(seed=self.seed, sounds=list(sounds), indices=list(indices))
        return [(np.array([0.5]), np.array([1]))] * len(sounds)

    hums(monkeypatch)
    hummed = voices.synthesize
    monkeypatch.setattr(voices, "synthesize", lambda *given: [np.pad(audio, 3000) for audio in hummed(*given)])
    monkeypatch.setattr(InnerEar, "encode", encode)
    SpokenDigits(tmp_path, train, n_per_class=2, seed=7, threads=1, progress=False, classes=[3, 12])
    factors = [factor for _, _, _, factor in spoken_digits.utterances(train, 2, 7)]
    assert heard["seed"] == 14 + train and heard["indices"] == [3, 12, 23, 32]
    for (audio, rate), index in zip(heard["sounds"], heard["indices"], strict=True):
        assert abs(rate / speech.RATE - factors[index]) < 0.004 and len(audio) == pytest.approx(4000 + 2 * 0.02 * speech.RATE, abs=200)


def test_a_cache_of_another_content_is_made_again(tmp_path, monkeypatch):
    calls = hums(monkeypatch)
    arguments = dict(root=tmp_path, n_per_class=2, classes=[3, 5], threads=1, progress=False)
    first = SpokenDigits(**arguments)
    assert SpokenDigits(**arguments) == first and calls == [40]
    (path,) = tmp_path.iterdir()
    meta = {name: shd_file.read_meta(path, name) for name in ("recipe", "digest")}
    other = replace(first, units=first.units[::-1])
    for events, kept, text in (
        (first, {}, "be made by the recipe that its name stands for"),
        (first, {**meta, "recipe": meta["recipe"].replace("train", "test")}, "be made by the recipe"),
        (first[:3], meta, "labels must be those of 4 utterances in turn"),
        (other, meta, "hold what was written; got 'another digest'"),
        (other, {"recipe": meta["recipe"]}, "hold what was written"),
    ):
        write_shd(path, events, kept)
        with pytest.warns(UserWarning, match=f"Making the data again, because the cache is damaged: .*{text}"):
            assert SpokenDigits(**arguments) == first
    assert calls == [40] * 6


@pytest.mark.parametrize("name", ["times", "units", "offsets", "labels", "speakers", "keys", "speaker_names"])
def test_the_digest_of_made_data_is_of_all_that_they_hold(name):
    spikes = [(np.array([0.1, 0.2], np.float32), np.array([3, 4])), (np.array([0.3], np.float32), np.array([5]))]
    events = EventSet.from_utterances(spikes, [0, 1], [0, 1], keys=("a", "b"), speaker_names=("x", "y"))
    other = {"offsets": np.array([0, 1, 3])}.get(name, getattr(events, name)[::-1])
    assert made_data._digest(events) == made_data._digest(replace(events)) != made_data._digest(replace(events, **{name: other}))


def test_made_data_are_as_fine_as_shds_from_the_first_call_on(tmp_path, monkeypatch):
    monkeypatch.setattr(made_data, "require_synthesiser", lambda: None)
    events, wanted, made = EventSet.from_utterances([([0.1234567], [3])], [0]), float(np.float16(0.1234567)), []
    for _ in range(2):
        found = made_data.made_once(tmp_path, "some", {}, np.zeros(1, int), lambda: made.append(1) or events)
        assert found.times.tolist() == [wanted]
    assert made == [1]


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (spoken_digits, "_VERSION", 99),
        (spoken_digits, "TRAIN_VOICES", ["f1"]),
        (spoken_digits, "ENGLISH", ("en",)),
        (voices, "TRACT", (1, 1)),
        (voices, "PITCH", (50, 50)),
        (spoken_digits, "_ear", lambda train, seed: InnerEar(level=0.2)),
        (voices, "installed_version", lambda package: "0.0"),
    ],
)
def test_what_would_give_other_spikes_is_part_of_the_recipe(module, name, value, monkeypatch):
    now = spoken_digits._recipe(True, 2, 0, [1, 2])
    monkeypatch.setattr(module, name, value)
    assert spoken_digits._recipe(True, 2, 0, [1, 2]) != now


def test_data_that_cannot_be_kept_are_given_all_the_same(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    calls = hums(monkeypatch)
    arguments = dict(n_per_class=1, classes=[0], threads=1, progress=False)
    kept = SpokenDigits(tmp_path / "kept", **arguments)
    monkeypatch.setattr(made_data, "write_shd", full)
    cure = rf"No space left on device. The environment variable {made_data.CACHE_VARIABLE}, or root, names another folder"
    with pytest.warns(UserWarning, match=rf"The data are made and not kept, because .* cannot be written: .*{cure}"):
        assert SpokenDigits(tmp_path / "full", **arguments) == kept
    assert calls == [20, 20] and not list((tmp_path / "full").iterdir())


def test_without_a_home_the_variable_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(made_data, "require_synthesiser", lambda: None)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.delenv(made_data.CACHE_VARIABLE, raising=False)
    cure = rf"The environment variable {made_data.CACHE_VARIABLE} names another\."
    with pytest.raises(InputError, match=rf"folder for made data must be a folder that can be written to; .*file/\.cache.* {cure}"):
        SpokenDigits(train=False)
    with pytest.raises(InputError, match=r"root must be a folder that can be written to; .* Name another one\.$"):
        SpokenDigits(tmp_path / "file" / "here", train=False)


def test_wrong_sizes_and_seeds_are_refused(tmp_path):
    for wrong in (dict(n_per_class=0), dict(seed=-1), dict(classes=[]), dict(classes=[20]), dict(classes=[0.5])):
        with pytest.raises(InputError, match=next(iter(wrong))):
            SpokenDigits(tmp_path, **wrong)


# --- WAV files ----------------------------------------------------------------------------------------------------


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def riff(code, bits, data, channels=1, rate=16_000, extra=b""):
    frame = channels * bits // 8
    header = struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits)
    content = b"WAVE" + extra + chunk(b"fmt ", header) + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", len(content)) + content


WAVE = np.round(20_000 * np.sin(np.arange(4000) / 8)) / 32_768


def encoded(code, bits, x):
    if code == 3:
        return x.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return np.round(x * 128 + 128).astype(np.uint8).tobytes()
    wide = np.round(x * 2.0 ** (bits - 1)).astype("<i4")
    return wide.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


@pytest.mark.parametrize(("code", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_every_sample_format_reads_alike(tmp_path, code, bits):
    path = tmp_path / "x.wav"
    path.write_bytes(riff(code, bits, encoded(code, bits, WAVE), extra=chunk(b"LIST", b"odd")))
    audio, rate = read_wav(path)
    assert rate == 16_000
    np.testing.assert_allclose(audio, WAVE, atol=0.5 / 128 if bits == 8 else 1e-7)


def test_files_of_the_standard_library_and_stereo_read(tmp_path):
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.stack([WAVE, 0 * WAVE], 1).__mul__(32_768).astype("<i2").tobytes())
    audio, rate = read_wav(path)
    assert rate == 8000
    np.testing.assert_allclose(audio, WAVE / 2, atol=1e-4)


@pytest.mark.parametrize(("code", "bits"), [(1, 16), (3, 32)])
def test_extensible_headers_name_the_format_further_on_and_half_a_frame_is_left_out(tmp_path, code, bits):
    header = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 16_000, 2000 * bits, bits // 8, bits, 22, bits, 0, code) + bytes(14)
    content = b"WAVE" + chunk(b"fmt ", header) + chunk(b"data", encoded(code, bits, WAVE) + b"\1")
    (tmp_path / "x.wav").write_bytes(b"RIFF" + struct.pack("<I", len(content)) + content)
    np.testing.assert_allclose(read_wav(tmp_path / "x.wav")[0], WAVE, atol=1e-7)


GOOD = riff(1, 16, encoded(1, 16, WAVE))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "RIFF WAVE"),
        (b"ID3 not a wave file at all", "RIFF WAVE"),
        (GOOD[:5000], "hold the 8000 bytes that the header of its 'data' chunk declares.*cut short"),
        (GOOD[:-2], "hold the 8000 bytes .*got '7998 bytes'"),
        (GOOD[:40] + b"\xff\xff\xff\xff" + GOOD[44:], "4294967295 bytes"),
        (GOOD[:12] + GOOD[36:], "'fmt ' chunk"),
        (GOOD[:36], "'data' chunk"),
        (riff(1, 16, b""), "hold samples"),
        (riff(1, 12, bytes(800)), "be PCM of 8, 16, 24 or 32 bits or floats"),
        (riff(6, 8, bytes(800)), "be PCM of 8, 16, 24 or 32 bits or floats"),
        (riff(0xFFFE, 16, bytes(800)), "be PCM of 8, 16, 24 or 32 bits or floats"),
        (riff(1, 16, bytes(800), channels=0), "be consistent"),
        (GOOD[:32] + b"\4" + GOOD[33:], "be consistent"),  # frames of four bytes, of one channel of two
        (riff(1, 16, bytes(800), rate=0), "be consistent"),
    ],
)
def test_a_damaged_wav_file_is_one_clear_error(tmp_path, content, text):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=text) as error:
        read_wav(path)
    assert "bad.wav" in str(error.value)


@pytest.fixture
def recordings(tmp_path):
    """Labels 2 and 10, two speakers."""
    for label, name, frequency in (("10", "ann_1.wav", 5), ("2", "ann_1.wav", 9), ("2", "bob_1.WAV", 20)):
        (tmp_path / label).mkdir(exist_ok=True)
        data = encoded(1, 16, np.sin(np.arange(2000) / frequency) / 2)
        (tmp_path / label / name).write_bytes(riff(1, 16, data))
    return tmp_path


def test_a_folder_becomes_an_event_set(recordings):
    events = wav_folder(recordings, speaker_of=lambda p: p.stem.split("_")[0], threads=1, progress=False)
    assert events.keys == ("2", "10") and events.speaker_names == ("ann", "bob")
    assert wav._names(iter(("ja", "10", "2"))) == ("10", "2", "ja")  # numbers only where all are
    assert list(events.labels) == [1, 0, 0] and list(events.speakers) == [0, 0, 1]
    audio, rate = read_wav(recordings / "2" / "ann_1.wav")
    times, units = InnerEar()(audio, rate, index=wav.draw_of(audio, rate))
    np.testing.assert_array_equal(events[1].times, times)
    np.testing.assert_array_equal(events[1].units, units)


def test_what_a_folder_holds_and_does_not_give_is_told(recordings):
    """Links to recordings that are not fetched were left out in silence, and with them whole classes."""
    os.mkfifo(recordings / "2" / "pipe.wav")
    (recordings / "2" / "older.wav").mkdir()  # no recording
    (recordings / "2" / "more").mkdir()
    (recordings / "2" / "more" / "bob_2.wav").write_bytes(b"")
    (recordings / "2" / "notes").mkdir()
    (recordings / "7").symlink_to(recordings / "nowhere")
    with pytest.warns(UserWarning) as told:
        events = wav_folder(recordings, speaker_of=lambda _: " ", threads=1, progress=False)
    assert len(events) == 3 and list(events.speakers) == [-1, -1, -1] and events.speaker_names == ()
    texts = [str(one.message) for one in told]
    assert any("7 leads to nothing: no class is made of it" in text for text in texts)
    assert any(re.search(r"not read, as only .*: \S*more, \S*older.wav, \S*pipe.wav\.$", text) for text in texts) and len(texts) == 2
    (recordings / "10" / "fetched_later.wav").symlink_to("../.git/annex/x.wav")
    with pytest.raises(FormatError, match=r"hold no links to recordings that are not there; got .*fetched_later.wav.* Fetch the files"):
        wav_folder(recordings, progress=False)


def test_a_recording_is_encoded_alike_wherever_it_stands_and_unlike_all_others(recordings):
    """If the draw went with the place in the list, and so with the label, noise alone would tell the classes of a test set apart."""
    sound = (recordings / "2" / "bob_1.WAV").read_bytes()
    (recordings / "1").mkdir()
    (recordings / "1" / "copy.wav").write_bytes(sound)  # now the first of four
    copy, _, _, bob = wav_folder(recordings, threads=1, progress=False)
    np.testing.assert_array_equal(copy.times, bob.times)
    np.testing.assert_array_equal(copy.units, bob.units)
    audio, rate = read_wav(recordings / "2" / "bob_1.WAV")
    draws = [wav.draw_of(audio, rate), wav.draw_of(0.999 * audio, rate), wav.draw_of(audio, rate + 1), wav.draw_of(audio[1:], rate)]
    assert len(set(draws)) == 4


def test_accents_are_one_character_whichever_system_made_the_folders(tmp_path):
    """Folders of macOS may spell them as a letter and a mark; classes and speakers are matched by name."""
    (tmp_path / "fu\u0308nf").mkdir()
    (tmp_path / "fu\u0308nf" / "zoe\u0308_1.wav").write_bytes(riff(1, 16, encoded(1, 16, np.sin(np.arange(2000) / 9) / 2)))
    events = wav_folder(tmp_path, speaker_of=lambda p: p.stem.split("_")[0], threads=1, progress=False)
    assert events.keys == ("f\u00fcnf",) and events.speaker_names == ("zo\u00eb",)
    assert events.speaker("zo\u00eb") == events.speaker("zoe\u0308") == 0
    assert replace(events, keys=("fu\u0308nf",)).keys == events.keys  # also of a file of another program, or of an earlier version


def test_labels_of_one_number_are_in_the_same_order_in_each_process():
    names = ["10", "1", "001", "2", "01"]
    for seed in (0, 1, 2):
        code = f"from lava_1m1t1r.datasets import wav; print(wav._names({names}))"
        done = started([sys.executable, "-c", code], PYTHONHASHSEED=str(seed))
        assert done.stdout.strip() == "('001', '01', '1', '2', '10')", done.stderr


def test_a_csv_list_becomes_the_same(recordings):
    table = recordings / "list.csv"
    table.write_text("file, label, speaker\n10/ann_1.wav, ten,ann\n2/ann_1.wav,two , ann\n2/bob_1.WAV,two,bob\n")
    events, folder = (wav_folder(p, threads=2, progress=False) for p in (table, recordings))
    np.testing.assert_array_equal(events.times, folder.times)
    assert events.keys == ("ten", "two") and events.speaker_names == ("ann", "bob")
    assert list(folder.speakers) == [-1, -1, -1]
    table.write_text("file,label,speaker\n10/ann_1.wav,ten,\n2/ann_1.wav,two,ann\n")
    events = wav_folder(table, threads=1, progress=False)
    assert events.speaker_names == ("ann",) and list(events.speakers) == [-1, 0]
    # as spreadsheets begin their files, end lines, and leave rows
    table.write_text("\ufefffile,label,,\n2/ann_1.wav,zwei,,\n,,,\n  \n,\n", encoding="utf-8")
    assert wav_folder(table, threads=1, progress=False).keys == ("zwei",)


def test_all_recordings_that_are_wrong_are_told_at_once(recordings):
    (recordings / "2" / "cut.wav").write_bytes(b"RIFF")
    (recordings / "10" / "other.wav").write_bytes(b"OggS" * 9)
    with pytest.raises(FormatError, match=r"other.wav must be a RIFF WAVE file.* And 1 more: .*cut.wav must be"):
        wav_folder(recordings, progress=False)


def test_of_many_wrong_recordings_some_are_named_and_the_others_counted(recordings):
    for number in range(7):
        (recordings / "10" / f"{number}.wav").write_bytes(b"OggS" * 9)
    with pytest.raises(FormatError, match=r"0.wav must be a RIFF WAVE file.* And 6 more: .* \.\.\.$") as told:
        wav_folder(recordings, progress=False)
    assert [str(told.value).count(f"{number}.wav must be") for number in range(7)] == [1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("file,label\n", "hold at least one row under the head line file,label,speaker"),
        ("path,label\n2/ann_1.wav,two\n", "have the columns file, label; got 'without file'"),
        ("file,label\n,two\n", "line 2 must have a 'file'"),
        ("file;label\n2/ann_1.wav;two\n", "Values are separated by commas"),
        ("file,label,file\n2/ann_1.wav,two,x\n", "name each column once"),
        ("file,label\n2/ann_1.wav,two,ann\n", "line 2 must hold 2 values"),
        ("file,label\n2/ann_1.wav,\n", "line 2 must have a 'label'"),
        ("file,label\n2/nobody.wav,two\n", "nobody.wav"),
    ],
)
def test_a_bad_list_is_one_clear_error(recordings, table, text):
    (recordings / "list.csv").write_text(table)
    with pytest.raises(FormatError, match=text):
        wav_folder(recordings / "list.csv", progress=False)


def test_one_bad_recording_is_named_before_the_work_begins(recordings, monkeypatch):
    (recordings / "2" / "short.wav").write_bytes(riff(1, 16, bytes(100)))
    monkeypatch.setattr(InnerEar, "encode", lambda *_: pytest.fail("the work began"))
    with pytest.raises(FormatError, match="short.wav: audio must last"):
        wav_folder(recordings, progress=False)
    with pytest.raises(FormatError, match="label"):
        wav_folder(recordings / "2", progress=False)


# --- what importing costs -----------------------------------------------------------------------------------------


def test_importing_the_data_layer_loads_nothing_heavy():
    heavy = "('torch', 'lava', 'h5py', 'joblib', 'espeakng_loader')"
    code = f"import sys, lava_1m1t1r.datasets; print([m for m in {heavy} if m in sys.modules])"
    done = started([sys.executable, "-c", code])
    assert done.stdout.strip() == "[]", done.stderr
