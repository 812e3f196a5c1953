from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.audio.formats import Pcm
from longtake.audio.join import Joiner
from longtake.core.errors import InvariantError
from tests.unit.audio.signals import chunked

FADE = 120


def joined(joiner: Joiner, silence_s: float, chunks: list[Pcm]) -> Pcm:
    return np.concatenate([np.empty(0, np.int16), *joiner.add(silence_s, chunks)])


def test_the_middle_is_untouched_and_the_edges_rise_and_fall() -> None:
    pcm = np.full(1000, 10_000, np.int16)
    out = joined(Joiner(), 0, [pcm])
    np.testing.assert_array_equal(out[FADE:-FADE], pcm[FADE:-FADE])
    assert abs(int(out[0])) < 10
    assert abs(int(out[-1])) < 10
    assert np.all(np.diff(out[:FADE].astype(int)) > 0)
    np.testing.assert_array_equal(out, out[::-1])
    assert out[FADE // 2 - 1 : FADE // 2 + 1].mean() == pytest.approx(5000, abs=1)
    assert np.all(pcm == 10_000)


def test_no_join_clicks() -> None:
    joiner = Joiner()
    loud = [np.full(3000, 20_000, np.int16)]
    out = np.concatenate([joined(joiner, s, loud) for s in (0.0, 0.0, 0.01, 0.3)]).astype(int)
    assert np.abs(np.diff(out)).max() < 300  # an unfaded edge jumps by 20,000


def test_places_are_exact() -> None:
    joiner = Joiner()
    lengths = [5000, 1, 0, 239, 48_000]
    silences = [0.0, 0.25, 1 / 3, 2.5, 0.1]
    out = [joined(joiner, s, [np.full(n, 7, np.int16)]) for s, n in zip(silences, lengths, strict=True)]
    expected, at = [], 0
    for silence_s, length in zip(silences, lengths, strict=True):
        at += round(silence_s * 24_000)
        expected.append(at)
        at += length
    assert joiner.starts == tuple(expected)
    assert joiner.samples == at == sum(block.size for block in out)
    assert not out[3][: round(2.5 * 24_000)].any()


@given(length=st.integers(0, 800), sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_chunks_do_not_matter(length: int, sizes: list[int]) -> None:
    pcm = np.random.default_rng(length).integers(-30_000, 30_000, length).astype(np.int16)
    cut = joined(Joiner(), 0.01, list(chunked(pcm, sizes)))
    np.testing.assert_array_equal(cut, joined(Joiner(), 0.01, [pcm]))
    assert cut.size == 240 + length


def test_only_a_fade_is_held_back() -> None:
    given_samples = 0

    def chunks() -> list[Pcm]:
        return [np.ones(1000, np.int16)] * 50

    joiner = Joiner()
    taken = 0
    for taken, block in enumerate(joiner.add(0, iter(chunks())), 1):
        given_samples += block.size
        if taken <= 50:
            assert given_samples == taken * 1000 - FADE
    assert given_samples == 50_000


@pytest.mark.parametrize("silence_s", [-0.1, float("nan"), float("inf")])
def test_an_impossible_silence_is_refused(silence_s: float) -> None:
    with pytest.raises(InvariantError):
        list(Joiner().add(silence_s, []))
