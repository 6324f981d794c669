"""SpokenWords: any words in many synthesised voices, to train with the recordings of a few people."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from .._support.names import composed
from ..errors import flag, require, whole, workers_of
from .events import SHD_KEYS, EventSet, first_repeated
from .inner_ear import MAX_RATE, MIN_RATE, InnerEar
from .made_data import made_once
from .speech import Request, languages, synthesize
from .spoken_digits import MOST_PER_CLASS, WORDS
from .voices import ENGLISH, GERMAN, TRAIN_VOICES, planned, recipe_of_voices, spoken

_VERSION = 2  # of the recipe: raise it when the same arguments would give other spikes
_LONGEST = 100  # characters of a word
_DRAWS = 2  # 0 and 1 are SpokenDigits' test and training set
_GERMAN_DIGITS = {name.casefold(): said for key, said in zip(SHD_KEYS[10:], WORDS[10:], strict=True) for name in (key, said)}


def SpokenWords(
    words: Sequence[str],
    n_per_class: int = 200,
    rate: int | None = None,
    language: str | None = None,
    root: str | os.PathLike | None = None,
    seed: int = 0,
    threads: int = -1,
    progress: bool = True,
) -> EventSet:
    """Return synthesised utterances of words in the 50 training voices of SpokenDigits; make them at the first call, then read them.

    Parameters
    ----------
    words : sequence of str
        What is said: the names of the classes. Underscores are spoken as spaces.
    n_per_class : int
        Number of utterances of each word.
    rate : int, optional
        Sampling rate [Hz] of the recordings that they shall resemble: what lies above half of it is cut off. Default: nothing is.
    language : str, optional
        Language code of eSpeak NG, such as ``fr``. Default: English in several accents, and German for the German digits of SHD, also
        capitalised or with an umlaut (null if another of them is there).
    root, seed, threads, progress
        As in :func:`.SpokenDigits`.

    Returns
    -------
    EventSet
        Classes take turns, in the order of ``words``, which are its ``keys``. The ear draws by seed and place, but never as for
        :func:`.SpokenDigits`: to test on these after training on these, take another seed.

    Raises
    ------
    InputError
        For an argument that breaks its rule, a language that the synthesiser does not have, and words for which it says the
        same, as those in a script that its language has not. Words in ASCII are not listened to ("two" and "too").
    """
    require(isinstance(words, (list, tuple)) and len(words) > 0, "words", "be a list of words", words)
    for word in words:
        good = isinstance(word, str) and word.isprintable() and any(map(str.isalnum, word)) and len(word) <= _LONGEST
        require(good, "words", f"be printable text with a letter or digit, of at most {_LONGEST} characters, to be spoken", word)
    words = [composed(word) for word in words]  # as the names of classes, by which German digits are known
    require(first_repeated(words) is None, "words", "differ from each other", first_repeated(words))
    n_per_class, seed = whole(n_per_class, "n_per_class", least=1, most=MOST_PER_CLASS), whole(seed, "seed", most=2**62 - 1)
    rate = None if rate is None else whole(rate, "rate", least=MIN_RATE, most=MAX_RATE)
    check_language(language)
    threads, progress = workers_of(threads, "threads"), flag(progress, "progress")
    said, accents = zip(*(_said(word, words, language) for word in words), strict=True)
    ear = InnerEar(seed=seed)
    recipe = {
        "version": _VERSION,
        "words": words,
        "said": said,
        "accents": accents,
        "n_per_class": n_per_class,
        "rate": rate,
        "seed": seed,
        "voices": TRAIN_VOICES,
        **recipe_of_voices(ear),
    }

    def make() -> EventSet:
        _require_differing(words, said, accents)
        plan = planned(said, accents, range(len(TRAIN_VOICES)), [seed, _DRAWS], n_per_class)
        title, first = "synthesised utterances" if progress else None, _DRAWS << 32  # beyond the places of SpokenDigits
        return spoken(plan, range(len(plan)), tuple(words), ear, threads, title, rate, first)

    return made_once(root, "spoken_words", recipe, np.tile(np.arange(len(words)), n_per_class), make)


def _require_differing(words: Sequence[str], said: Sequence[str], accents: Sequence[Sequence[str]]) -> None:
    """Refuse words for which the same is said ("fuenf", "fünf"), and those beyond ASCII that sound alike: of a script that it does not
    read, the synthesiser says the name ("Chinese letter")."""
    compared = sum(not text.isascii() for text in said) > 1
    known: dict[tuple[str, str | bytes], str] = {}
    for word, text, (language, *_) in zip(words, said, accents, strict=True):
        heard = compared and not text.isascii()
        sound = synthesize([Request(text, language)])[0].tobytes() if heard else text  # each alone: it remembers what it spoke before
        other = known.setdefault((language, sound), word)
        cure = "Give the language of the words (--language), or write them otherwise, in its letters."
        require(other == word, "words", f"sound different from each other when spoken in {language}", [other, word], cure)


def check_language(language: str | None) -> None:
    """Refuse what the synthesiser does not speak."""
    known = languages()
    good = language is None or (isinstance(language, str) and (language in known or (not known and language.isprintable())))
    rule = "be a language code of eSpeak NG, or None"
    require(good, "language (--language)", rule, language, f"It has {', '.join(known)}." if known else "Examples: en-us, de, fr.")


def _said(word: str, words: Sequence[str], language: str | None) -> tuple[str, tuple[str, ...]]:
    """What is said for one of the words, and the accents in which it is: "null" is English, too, unless it stands among German digits."""
    digit = _GERMAN_DIGITS.get(word.casefold())
    if digit == "null" and language is None and all(_GERMAN_DIGITS.get(other.casefold(), "null") == "null" for other in words):
        digit = None
    if digit is None or language not in (None, *GERMAN):
        return word.replace("_", " "), ENGLISH if language is None else (language,)
    return digit, GERMAN
