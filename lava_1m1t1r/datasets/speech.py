"""Speech from the optional synthesiser eSpeak NG, through the package ``espeakng-loader``.

The library is GPL-3-or-later: it is loaded where the user has installed it and is never part of this package. It is
reproducible only in a fresh process that speaks in a fixed order, so :func:`synthesize` starts one for each call
(:func:`main`), which also keeps a crash in it away from the caller.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .._support import programs
from .._support.files import scratch
from .._support.programs import PIPES
from ..errors import InputError, missing, require, whole

RATE = 22_050
"""Sampling rate of the synthesiser [Hz]."""

# constants of speak_lib.h
_SYNCHRONOUS, _UTF8, _EE_OK = 2, 1, 0
_SPEED, _PITCH, _PITCH_RANGE = 1, 3, 4


@dataclass(frozen=True)
class Request:
    """One thing to say."""

    text: str
    """Text in the language of the voice."""
    voice: str
    """Language and variant: ``"en-us+m3"``, ``"de+f2"``."""
    speed: int = 170
    """Words a minute, 80 to 450."""
    pitch: int = 50
    """Base pitch, 0 to 100."""
    pitch_range: int = 50
    """Movement of the pitch, 0 (monotone) to 100."""
    seed: int = 1
    """Seed of the synthesiser's own noise (breath, flutter)."""

    def __post_init__(self) -> None:
        for name in ("text", "voice"):
            value = getattr(self, name)
            good = isinstance(value, str) and value and value.isprintable()
            require(good, f"Request.{name}", "be text, and not be empty", value)
        for name, least, most in (("speed", 80, 450), ("pitch", 0, 100), ("pitch_range", 0, 100), ("seed", 0, 2**31 - 1)):
            object.__setattr__(self, name, whole(getattr(self, name), f"Request.{name}", least=least, most=most))


def require_synthesiser() -> None:
    """Raise the error that names the cure unless the synthesiser is installed."""
    if find_spec("espeakng_loader") is None:
        raise missing("espeakng-loader", "speech", "Speech synthesis")


def languages() -> tuple[str, ...]:
    """Language codes that a voice may begin with; none without the synthesiser."""
    if find_spec("espeakng_loader") is None:
        return ()
    import espeakng_loader

    return tuple(sorted(path.name.lower() for path in Path(espeakng_loader.get_data_path(), "lang").rglob("*") if path.is_file()))


def synthesize(requests: Sequence[Request], title: str | None = None) -> list[np.ndarray]:
    """Speak the requests in order, in a fresh process; ``title`` is shown on a terminal meanwhile.

    Returns
    -------
    list of (N,) int16
        Audio at :data:`RATE`, one a request, with the synthesiser's own silence at the ends.
    """
    require_synthesiser()
    if not requests:
        return []
    with scratch("speech-") as folder:
        inbox, outbox = Path(folder, "requests.json"), Path(folder, "audio.npz")
        inbox.write_text(json.dumps([asdict(r) for r in requests]), encoding="utf-8")
        limit = 600.0 + len(requests)  # far above the hundredths of a second that each takes
        try:
            done = programs.run(
                programs.python("from lava_1m1t1r.datasets.speech import main; main(*sys.argv[1:])", str(inbox), str(outbox)),
                title=title,
                timeout=limit,
                env={**os.environ, "TMPDIR": folder},  # what it leaves goes with our folder
                given="",
                **PIPES,
                text=True,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"The speech synthesiser did not end within {limit:g} s.") from error
        if done.returncode != 0 or not outbox.exists():
            text = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise InputError(f"The speech synthesiser failed: {text[0]}")
        with np.load(outbox) as file:
            return np.split(file["audio"], np.cumsum(file["sizes"])[:-1])


def trimmed(audio: np.ndarray, rate: int) -> np.ndarray:
    """Cut leading and trailing silence: what stays 40 dB below the loudest 10 ms, save a margin of 15 ms."""
    n = max(1, round(10e-3 * rate))
    power = np.convolve(np.asarray(audio, np.float64) ** 2, np.ones(n) / n, mode="same")
    loud = np.flatnonzero(power > power.max(initial=0.0) * 1e-4)
    if not len(loud):
        return audio
    pad = round(15e-3 * rate)
    return audio[max(0, loud[0] - pad) : loud[-1] + pad + 1]


def _speak_all(requests: list[Request]) -> list[np.ndarray]:
    """Load the library into this process and speak."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = Path(espeakng_loader.get_data_path()).absolute()
    os.chdir(data.parent)  # the library has room for a path of 160 bytes
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, b".", 0)
    require(rate == RATE, "eSpeak NG", f"start and speak at {RATE} Hz", rate, "Reinstall espeakng-loader.")
    parts: list[np.ndarray] = []
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    @callback_type
    def keep(samples, n, _events):
        if samples and n > 0:
            parts.append(np.ctypeslib.as_array(samples, (n,)).copy())  # the buffer is used again
        return 0

    library.espeak_SetSynthCallback(keep)
    spoken = []
    for r in requests:
        parts.clear()
        _check_variant(r.voice, data)
        known = library.espeak_SetVoiceByName(r.voice.encode()) == _EE_OK
        require(known, "Request.voice", "be a voice of eSpeak NG", r.voice, "Examples: en-us+m3, de+f2.")
        for parameter, value in ((_SPEED, r.speed), (_PITCH, r.pitch), (_PITCH_RANGE, r.pitch_range)):
            library.espeak_SetParameter(parameter, value, 0)
        library.espeak_ng_SetRandSeed(ctypes.c_long(r.seed))
        text = r.text.encode()
        status = library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _UTF8, None, None)
        require(status == _EE_OK and parts, "Request", "be spoken", r)
        spoken.append(np.concatenate(parts))
    return spoken


def _check_variant(voice: str, data: Path) -> None:
    """Refuse a variant that does not exist, because the library would use the plain voice instead."""
    _, plus, variant = voice.partition("+")
    if variant.isascii() and variant.isdigit():  # short for m1 to m9, and from 11 for f1
        variant = f"m{int(variant)}" if int(variant) < 10 else f"f{int(variant) - 10}"
    known = not plus or (variant and Path(data, "voices", "!v", variant).is_file())
    require(known, "Request.voice", "have a variant (after +) of eSpeak NG", voice, "Examples: en-us+m3, de+f2.")


def main(inbox: str, outbox: str) -> None:
    """Speak the requests of a JSON file into an .npz file: the whole life of the fresh process."""
    audio = _speak_all([Request(**row) for row in json.loads(Path(inbox).read_text(encoding="utf-8"))])
    np.savez(outbox, audio=np.concatenate(audio), sizes=[len(a) for a in audio])
