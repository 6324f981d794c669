"""Answers from sums over time, and to speakers who are adapted to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lava_1m1t1r.answers import Adapting, adapted, adapted_accuracy, of_each, over_time, ties, winner
from lava_1m1t1r.errors import InputError


def stranger(favoured, words, seed=0):
    """Sums that tell each word by a little, and favour one class by much."""
    labels = np.random.default_rng(seed).integers(0, 4, words)
    sums = np.random.default_rng(seed + 1).integers(0, 3, (words, 4)) + 20 * np.eye(4, dtype=np.int64)[labels]
    sums[:, favoured] += 100
    return sums, labels


def test_sums_over_time_are_wider_than_the_outputs():
    counts = over_time(np.full((1, 3, 2), 2**30, np.int32))
    assert counts.tolist() == [[3 * 2**30] * 2] and counts.dtype == np.int64
    assert over_time(np.array([[2.0**30], [0.5]], np.float32)).tolist() == [2.0**30 + 0.5]


def test_two_equal_sums_are_a_tie():
    assert ties(np.array([[1, 3, 3], [3, 3, 3], [1, 2, 3], [3, 3, 1]])) == 3
    assert ties(np.array([[[1, 3, 3], [4, 4, 4]], [[3, 1, 2], [5, 6, 7]]])) == 2


@given(
    arrays(np.int64, st.tuples(st.integers(0, 12), st.just(3)), elements=st.integers(-(2**40), 2**40)),
    st.sampled_from([np.int64, np.float64, np.float32]),
)
def test_answers_one_after_the_other_are_those_of_all(sums, dtype):
    sums, adapting = (sums / 10).astype(dtype), Adapting()
    assert [adapting.answer(row) for row in sums] == adapted(sums).tolist()
    assert adapting.heard == len(sums)


def test_the_first_utterance_is_answered_as_it_is_and_the_second_relative_to_it():
    sums = np.array([[9, 0, 4], [9, 0, 8]])
    adapting = Adapting()
    assert adapting.answer(sums[0]) == 0
    np.testing.assert_allclose(adapting.common, sums[0] / (1 + 3))
    assert adapting.answer(sums[1]) == 2  # 9 - 9 / 4 is less than 8 - 4 / 4
    assert adapted(sums).tolist() == [0, 2] and winner(sums).tolist() == [0, 0]


def test_sums_of_several_utterances_or_of_other_networks_are_refused():
    adapting = Adapting()
    for wrong in (np.zeros((2, 3)), np.zeros(0), 5, "a"):
        with pytest.raises(InputError, match="sums must"):
            adapting.answer(wrong)
    adapting.answer([1, 2, 3])
    with pytest.raises(InputError, match=r"sums must be those of an utterance, \(K,\), as many each time; got \(4,\)"):
        adapting.answer([1, 2, 3, 4])
    with pytest.raises(InputError, match="sums must be finite"):
        adapting.answer([1, 2, np.nan])
    assert adapting.heard == 1
    for wrong, words in (((np.ones(3), [0]), r"sums must have the shape \(B, K\)"), ((np.ones((2, 3)), [0]), r"labels must .* \(2,\)")):
        with pytest.raises(InputError, match=words):
            adapted_accuracy(*wrong, None)
    with pytest.raises(InputError, match=r"sums must have the shape \(B, K\); got \(3,\)"):
        adapted(np.ones(3))
    with pytest.raises(InputError, match=r"speakers must have the shape \(2,\)"):
        adapted_accuracy(np.ones((2, 3)), [0, 1], np.zeros(3))


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_what_a_speaker_favours_in_all_words_is_taken_away(dtype):
    sums, labels = stranger(favoured=1, words=200)
    sums = sums.astype(dtype)
    assert np.all(winner(sums) == 1)
    assert np.mean(adapted(sums)[20:] == labels[20:]) > 0.95


def test_utterances_of_each_speaker():
    assert [own.tolist() for own in of_each(np.array([7, 2, 7, 7, 2, -1]))] == [[5], [1, 4], [0, 2, 3]]
    assert all(np.all(np.diff(own) > 0) for own in of_each(np.arange(1000) % 7 % 2))  # in rising order, however many


def test_each_speaker_is_adapted_to_alone():
    (one, said), (other, too) = stranger(0, 100), stranger(3, 100, seed=5)
    sums, labels, speakers = np.concatenate([one, other]), np.concatenate([said, too]), np.repeat([7, 2], 100)
    alone = [adapted_accuracy(part, words, np.zeros(100, int)) for part, words in ((one, said), (other, too))]
    together = adapted_accuracy(sums, labels, speakers)
    assert min(alone) > 0.8 and together == pytest.approx(np.mean(alone), abs=0.02)
    mixed = np.random.default_rng(0).permutation(200)
    assert adapted_accuracy(sums[mixed], labels[mixed], speakers[mixed]) == pytest.approx(together, abs=0.02)
    assert adapted_accuracy(sums, labels, np.zeros(200, int)) < together - 0.1
    assert adapted_accuracy(sums, labels, None) is None


def test_who_says_one_word_each_is_answered_as_ever():
    sums, labels = stranger(favoured=1, words=50)
    assert adapted_accuracy(sums, labels, np.arange(50)) == np.mean(winner(sums) == labels)
