"""Traces: written step by step, read as a whole, joined by being put one behind the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtake.core.errors import InvariantError
from longtake.engines.vibevoice.about import VibeVoiceAbout
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS, DIFFUSION, END, EOS, START
from longtake.engines.vibevoice.trace import Weights, cut_trace, join_traces, read_trace, write_head, write_step

TOKENS = st.lists(st.sampled_from(CONTROL_TOKENS), max_size=12)


def write(tokens: list[int], first: int = 0) -> bytes:
    """Frame i of them holds the number ``first + i``."""
    data, frame = b"", first
    for token in tokens:
        features = None
        if token == DIFFUSION:
            features = np.full(192, frame, np.float32)
            frame += 1
        data += write_step(token, features)
    return data


@given(TOKENS, TOKENS)
def test_what_is_written_is_read(one: list[int], other: list[int]) -> None:
    first = write(one)
    frames = one.count(DIFFUSION)
    second = write(other, frames)
    trace = read_trace(first + second)
    assert trace.tokens == (*one, *other)
    assert trace.features_F192[:, 0].tolist() == list(range(trace.frames))
    assert trace.frames == frames + other.count(DIFFUSION)
    joined = join_traces([read_trace(first), read_trace(second)])
    assert joined.tokens == trace.tokens
    assert np.array_equal(joined.features_F192, trace.features_F192)


WEIGHTS = st.builds(Weights, st.binary(min_size=8, max_size=8), st.text(max_size=60))


@given(st.lists(st.tuples(WEIGHTS, TOKENS), max_size=4))
def test_heads_are_no_steps(pieces: list[tuple[Weights, list[int]]]) -> None:
    data = b"".join(write_head(weights) + write(tokens) for weights, tokens in pieces)
    trace = read_trace(data)
    assert trace.tokens == tuple(token for _, tokens in pieces for token in tokens)
    first = {weights.fingerprint: weights for weights, _ in reversed(pieces)}
    assert sorted(trace.weights, key=repr) == sorted(first.values(), key=repr)
    assert trace.without_end().weights == trace.weights
    joined = join_traces([read_trace(write_head(weights) + write(tokens)) for weights, tokens in pieces])
    assert (joined.tokens, joined.weights) == (trace.tokens, trace.weights)


def test_a_long_name_is_cut() -> None:
    weights = Weights(b"8 bytes.", "/a" * 200 + "é")
    (found,) = read_trace(write_head(weights) + write([DIFFUSION])).weights
    assert (found.fingerprint, found.name) == (weights.fingerprint, weights.name[:255])


def test_nothing_is_a_trace() -> None:
    assert read_trace(b"").tokens == ()
    assert join_traces([]).features_F192.shape == (0, 192)


def test_what_ended_it_is_taken_away_and_no_more() -> None:
    trace = read_trace(write([DIFFUSION, END, START, DIFFUSION, END, EOS]))
    assert trace.without_end().tokens == (DIFFUSION, END, START, DIFFUSION)
    assert read_trace(write([DIFFUSION, EOS])).without_end().tokens == (DIFFUSION,)
    assert read_trace(write([END, EOS])).without_end().tokens == ()


HEAD = write_head(Weights(b"8 bytes.", "a model"))


@pytest.mark.parametrize(
    "damaged",
    [
        b"\x04",
        b"\xfe",
        write([DIFFUSION])[:-1],
        write([START, DIFFUSION])[:100],
        HEAD[:-1],
        HEAD[:9],
        HEAD[:1],
        HEAD + b"\x04",
    ],
)
def test_damage_is_told(damaged: bytes) -> None:
    with pytest.raises(InvariantError, match="damaged at byte"):
        read_trace(damaged)


def test_ten_seconds_take_57_kilobytes() -> None:
    assert len(write([DIFFUSION] * 75)) == 75 * 769


@given(TOKENS, st.integers(0, 12))
def test_cut_behind_a_frame_nothing_of_what_followed_is_kept(tokens: list[int], frames: int) -> None:
    data = write(tokens)
    kept, count = cut_trace(data, frames)
    trace = read_trace(kept)
    assert count == trace.frames == min(frames, tokens.count(DIFFUSION))
    assert data.startswith(kept)
    assert not kept or trace.tokens[-1] == DIFFUSION
    assert trace.tokens == tuple(tokens[: len(trace.tokens)])


def test_samples_are_cut_to_whole_frames() -> None:
    about, data = VibeVoiceAbout(), write([DIFFUSION, END, START, DIFFUSION, DIFFUSION, EOS])
    for asked, kept in ((0, 0), (3199, 0), (3200, 3200), (6399, 3200), (9600, 9600), (99_999, 9600)):
        trace, samples = about.cut_trace(data, asked)
        assert (samples, read_trace(trace).frames) == (kept, kept // 3200)
    assert read_trace(about.cut_trace(data, 3200)[0]).tokens == (DIFFUSION,), "END and START are decided anew"


def test_a_damaged_trace_is_not_cut() -> None:
    with pytest.raises(InvariantError, match="damaged"):
        cut_trace(write([DIFFUSION, DIFFUSION])[:-1], 2)
