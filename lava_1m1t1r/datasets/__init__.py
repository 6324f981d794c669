"""Spikes of spoken digits: SHD's files, the inner ear that makes such spikes from sound, and the frames of a network.

>>> from lava_1m1t1r import datasets
>>> events = datasets.SpokenDigits(train=False)  # or datasets.read_shd("shd_test.h5")  # doctest: +SKIP
>>> x = datasets.frames(events, dt=10e-3, n_steps=100)  # (B, T, C) uint8  # doctest: +SKIP
"""

from .binning import BinnedEvents, binned_events, cropped_share, frames
from .events import N_CHANNELS, SHD_KEYS, EventSet, Utterance
from .inner_ear import InnerEar, Spikes
from .shd_file import read_shd, write_shd
from .shd_folder import shd
from .spoken_digits import SpokenDigits
from .spoken_words import SpokenWords
from .wav import read_wav, wav_folder

__all__ = [
    "N_CHANNELS",
    "SHD_KEYS",
    "BinnedEvents",
    "EventSet",
    "InnerEar",
    "Spikes",
    "SpokenDigits",
    "SpokenWords",
    "Utterance",
    "binned_events",
    "cropped_share",
    "frames",
    "read_shd",
    "read_wav",
    "shd",
    "wav_folder",
    "write_shd",
]
