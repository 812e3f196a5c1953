"""The loop: batched = alone, resumed = uninterrupted, slot reuse leaves no trace, the end is told truthfully."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtake.core.errors import CapacityError, InputError, InvariantError, NotFoundError
from longtake.engines.base import End, SpeakRequest
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.network.names import DIFFUSION, END, EOS, START
from longtake.engines.vibevoice.trace import read_trace, write_head
from longtake.engines.vibevoice.weights.random_model import build_random
from tests.unit.engines.vibevoice.conftest import WEIGHTS, Bench, MakeBench, Said, ask, build_bench

STEP = 1 / 32767  # of int16
SAME = 1e-4
RESUMED = 1e-3


def differs(one: Said, other: Said) -> float:
    """The largest difference of two utterances, in samples of -1 … 1, and of their latents."""
    assert one.pcm.shape == other.pcm.shape
    first, second = read_trace(one.trace), read_trace(other.trace)
    assert first.tokens == second.tokens
    in_features = np.abs(first.features_F192 - second.features_F192).max(initial=0.0)
    # int16 rounds: what differs by a hair may differ by one step.
    in_sound = (np.abs(one.pcm - other.pcm).max(initial=0) - 1) * STEP
    return max(float(in_features), float(in_sound))


def test_a_request_is_spoken_as_planned(bench: Bench) -> None:
    (said,) = bench.speak(ask(expected_s=4.0))
    assert said.end is not None
    assert (said.end.end, said.end.marks) == (End.FINISHED, ())
    assert said.pcm.size == 30 * 3200, "30 frames are 4 s"
    tokens = read_trace(said.trace).tokens
    assert (tokens.count(DIFFUSION), tokens.count(START), tokens.count(END), tokens[-1]) == (30, 1, 2, EOS)
    assert bench.is_empty()


def test_a_frame_leaves_at_once(bench: Bench) -> None:
    bench.engine.start(ask())
    sizes = [sum(chunk.pcm_T.size for chunk in bench.engine.step().chunks) for _ in range(6)]
    assert sizes[0] == 3200, "the prompt is short: read and spoken in one beat"
    assert set(sizes) == {0, 3200}, "nothing is held back; END and START sound of nothing"


# Who shares the batch

MANNERS: list[dict[str, Any]] = [
    {"seed": 1, "settings": {"steps": 2}},
    {"seed": 2, "settings": {"steps": 5, "guidance": 3.0}},
    {"seed": 3, "settings": {"steps": 2, "solver": "sde-dpmsolver++"}, "speakers": 3},
    {"seed": 4, "settings": {"steps": 5, "voice_noise": False}, "expected_s": 2.5},
    {"seed": 5, "text": "A prompt that is far longer than the others. " * 20, "expected_s": 0.6},
]


def manner(number: int) -> SpeakRequest:
    return ask(f"m{number}", **MANNERS[number])


@pytest.fixture
def alone(make_bench: MakeBench) -> Any:
    @functools.cache
    def speak(number: int) -> Said:
        return make_bench().speak(manner(number))[0]

    return speak


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nobody_notices_who_shares_the_batch(bench: Bench, alone: Any, data: st.DataObject) -> None:
    """Requests come and go in any order, some are stopped, places are used again: each is spoken as it is alone."""
    bench.engine.close()  # an example that hypothesis breaks off leaves its requests behind
    said: dict[str, Said] = {}
    running: dict[str, int] = {}
    for turn in range(data.draw(st.integers(2, 8))):
        number = data.draw(st.integers(0, len(MANNERS) - 1))
        request = replace(manner(number), id=f"{turn}/{number}")
        bench.engine.start(request)
        said[request.id] = Said()
        running[request.id] = number
        for _ in range(data.draw(st.integers(0, 6))):
            bench.beat(said)
        if data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(said)))
            bench.engine.stop(gone)
            if said[gone].end is None:
                del said[gone], running[gone]
        if len([one for one in said.values() if not one.end]) == INFO.max_active:
            break
    while not all(one.end for one in said.values()):
        bench.beat(said)
    for request_id, number in running.items():
        assert differs(said[request_id], alone(number)) <= SAME
    assert bench.is_empty()


def test_the_seed_decides(bench: Bench) -> None:
    one, same, other = bench.speak(ask("a", seed=7), ask("b", seed=7), ask("c", seed=8))
    assert differs(one, same) <= SAME
    assert differs(one, other) > 0.01


def test_steps_guidance_and_noise_are_heard(bench: Bench) -> None:
    plain = ask("plain", settings={"steps": 4})
    changed = [
        ask("steps", settings={"steps": 6}),
        ask("guidance", settings={"steps": 4, "guidance": 3.0}),
        ask("noise", settings={"steps": 4, "voice_noise": False}),
        ask("solver", settings={"steps": 4, "solver": "sde-dpmsolver++"}),
        ask("voice", settings={"steps": 4}, voices={1: "hum-5", 2: "hum-2"}),
    ]
    base, *others = bench.speak(plain, *changed)
    for other in others:
        assert differs(base, other) > 1e-3


def test_reading_does_not_hold_up_those_who_speak(bench: Bench) -> None:
    said = {"a": Said(), "b": Said()}
    bench.engine.start(ask("a", expected_s=3.0))
    bench.beat(said)
    bench.engine.start(ask("b", "A very long line. " * 300))
    before = len(said["a"].chunks)
    for _ in range(4):
        bench.beat(said)
    assert len(said["a"].chunks) >= before + 3, "it speaks at each beat"
    assert not said["b"].chunks, "5,400 tokens are not read in four beats"


# Going on


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 9, 11])
@pytest.mark.parametrize("number", [0, 2])
def test_resumed_is_uninterrupted(bench: Bench, alone: Any, number: int, cut: int) -> None:
    request = manner(number)
    said = {request.id: Said()}
    bench.engine.start(request)
    for _ in range(cut):
        bench.beat(said)
    trace = bench.engine.trace(request.id)
    assert bench.engine.trace(request.id) == b"", "it gives what is new"
    bench.engine.stop(request.id)
    (rest,) = bench.speak(replace(request, trace=trace))
    whole = Said([*said[request.id].chunks, *rest.chunks], trace + rest.trace)
    assert differs(whole, alone(number)) <= RESUMED


def test_the_convolutions_remember_no_longer_than_what_is_replayed(bench: Bench) -> None:
    request = ask(speakers=1, expected_s=24.0, settings={"steps": 1})  # 180 frames without END
    (whole,) = bench.speak(request)
    trace = whole.trace[: len(write_head(WEIGHTS)) + 160 * (1 + 192 * 4)]
    (rest,) = bench.speak(replace(request, trace=trace))
    assert np.abs(rest.pcm - whole.pcm[160 * 3200 :]).max() * STEP <= RESUMED


def test_a_passage_goes_on_from_those_before_it(bench: Bench) -> None:
    first, second = ask("1", index=0), ask("2", "What comes then.", index=1, seed=9)
    (before,) = bench.speak(first)
    (after,) = bench.speak(replace(second, past=((first.passage, before.trace),)))
    (unrelated,) = bench.speak(second)
    assert after.pcm.size == unrelated.pcm.size, "what was spoken before is not spoken again"
    assert differs(after, unrelated) > 1e-3, "but it is in view"


def test_what_is_too_long_ago_leaves_the_window_first(make_bench: MakeBench) -> None:
    passages = [ask(str(i), f"Passage number {i}.", index=i, expected_s=4.0) for i in range(3)]
    bench = make_bench()
    traces = [bench.speak(request)[0].trace for request in passages[:2]]
    past = tuple((request.passage, trace) for request, trace in zip(passages, traces, strict=False))
    full = replace(passages[2], past=past)
    narrow = make_bench(window=380)
    only_one = replace(full, past=past[1:])
    assert narrow.engine.cost(full) == narrow.engine.cost(only_one)
    assert narrow.engine.cost(full).used_bytes < bench.engine.cost(full).used_bytes
    kept, expected = narrow.speak(full)[0], narrow.speak(only_one)[0]
    assert differs(kept, expected) <= SAME


def test_cost_does_not_grow_with_what_was_spoken(bench: Bench) -> None:
    request = ask(expected_s=4.0)
    (said,) = bench.speak(request)
    half = said.trace[: len(write_head(WEIGHTS)) + 14 * 769]
    assert bench.engine.cost(replace(request, trace=half)) == bench.engine.cost(request)
    bench.engine.start(request)
    assert bench.runner.kv.used_bytes == bench.engine.cost(request).used_bytes
    bench.engine.stop("r")
    assert bench.is_empty()


# The end


def test_what_does_not_end_is_truncated_with_its_place(make_bench: MakeBench, never_stops: None) -> None:
    bench = make_bench(window=370)
    request = ask(expected_s=6.0, settings={"steps": 1})
    limit = bench.engine.cost(request).steps
    assert 45 < limit < 150, "the window's end comes first"
    (said,) = bench.speak(request)
    assert said.end is not None
    assert said.end.end is End.TRUNCATED
    assert f"limit of {limit} steps" in said.end.message
    assert "longtake resume JOB --from TIME" in said.end.message
    assert read_trace(said.trace).frames == limit
    assert said.pcm.size == limit * 3200, "what was spoken is kept"
    assert bench.is_empty()


def test_truncated_is_finished_for_who_allows_it(make_bench: MakeBench, never_stops: None) -> None:
    bench = make_bench(window=370)
    (said,) = bench.speak(ask(expected_s=6.0, settings={"steps": 1, "allow_truncated": True}))
    assert said.end is not None
    assert said.end.end is End.FINISHED
    assert "did not come to its end" in said.end.message


def test_a_model_that_never_stops_meets_its_limit(bench: Bench, never_stops: None) -> None:
    request = ask(expected_s=0.5, settings={"steps": 1})
    limit = round((6 + 150) * 1.25)
    assert bench.engine.cost(request).steps == limit
    (said,) = bench.speak(request)
    assert said.end is not None
    assert said.end.end is End.TRUNCATED
    assert read_trace(said.trace).tokens == (DIFFUSION,) * limit
    assert said.pcm.size == limit * 3200


def test_what_was_truncated_is_truncated_again_however_often_it_is_resumed(bench: Bench, never_stops: None) -> None:
    """Its rows are full: one step more would write behind them, and end the process for all."""
    partner = ask("partner", expected_s=12.0, settings={"steps": 1})
    bench.engine.start(partner)
    said = {"partner": Said(), "r": Said()}
    request = ask(expected_s=0.5, settings={"steps": 1})
    bench.engine.start(request)
    while said["r"].end is None:
        bench.beat(said)
    for _ in range(2):
        resumed = replace(request, trace=said["r"].trace)
        for ask_again in (bench.engine.cost, bench.engine.start):
            with pytest.raises(CapacityError, match=r"resume JOB --from TIME` .* another seed") as refused:
                ask_again(resumed)
            assert refused.value.code == "truncated"
        bench.beat(said)
    said["rest"] = Said()
    bench.engine.start(replace(request, id="rest", trace=said["r"].trace[:-769]))
    assert bench.speak_all(said) == {}
    assert said["rest"].end is not None
    assert (said["rest"].end.end, said["rest"].pcm.size) == (End.TRUNCATED, 3200), "one step was left"
    assert read_trace(said["partner"].trace).frames == bench.engine.cost(partner).steps, "it never noticed"
    assert bench.is_empty()


@pytest.mark.parametrize(("settings", "advice"), [({}, "Shorten the turns"), ({"context": "full"}, "--context full")])
def test_a_prompt_longer_than_the_window_is_told_with_the_numbers(
    make_bench: MakeBench, settings: dict[str, Any], advice: str
) -> None:
    bench = make_bench(window=330)
    long = ask("long", "Word. " * 100, settings=settings)
    told = r"passage 1 has 1,\d\d\d tokens .* window has 330: room for 0 steps .* about 10 are expected"
    with pytest.raises(CapacityError, match=told) as refused:
        bench.engine.start(long)
    assert refused.value.code == "window_exceeded"
    assert advice in refused.value.message
    assert ("--context full" in refused.value.message) == bool(settings)
    assert bench.is_empty()
    assert bench.speak(ask())[0].end is not None, "the engine lives"


def test_what_cannot_be_spoken_to_its_end_is_not_begun(make_bench: MakeBench) -> None:
    """A room below what is expected is a cut foreseen: nobody waits an hour for it."""
    bench = make_bench(window=330)
    prompt = 330 - bench.engine.cost(ask(expected_s=2.0)).steps
    room = 330 - prompt
    fits = ask(expected_s=(room - 1) / 7.5)
    assert bench.engine.cost(fits).steps == room
    with pytest.raises(CapacityError, match=f"room for {room} steps is left, and about {room + 1} are expected"):
        bench.engine.cost(ask(expected_s=room / 7.5))


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"speed": 1.2}, InputError, "own pace"),
        ({"settings": {"steps": 0}}, InputError, "from 1 to 100"),
        ({"settings": {"colour": 1}}, InputError, "no setting 'colour'"),
        ({"voices": {1: "hum-1", 2: "nobody"}}, NotFoundError, "nobody"),
        ({"voices": {1: "hum-1"}}, InputError, "Speaker 2 has no voice"),
        ({"trace": b"\x07"}, InvariantError, "damaged"),
    ],
)
def test_what_cannot_be_spoken_is_refused_and_takes_no_place(
    bench: Bench, change: dict[str, Any], error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what):
        bench.engine.start(ask(**change))
    assert bench.is_empty()


def test_no_more_than_there_are_places(bench: Bench) -> None:
    for number in range(INFO.max_active):
        bench.engine.start(ask(str(number)))
    with pytest.raises(InvariantError, match="places"):
        bench.engine.start(ask("one more"))
    bench.engine.stop("3")
    bench.engine.start(ask("one more"))
    with pytest.raises(InvariantError, match="active already"):
        bench.engine.start(ask("one more"))
    bench.engine.close()
    assert bench.is_empty()


def test_voices_are_encoded_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = bench.engine._voices
    bench.speak(ask("a"), ask("b"))
    assert (bank.misses, bank.hits) == (2, 2)
    assert bank.used_bytes == sum(bank.frames(f"hum-{n}") * 64 * 4 for n in (1, 2))
    bank._room_bytes = 1
    bench.speak(ask("c", voices={1: "hum-3", 2: "hum-2"}))
    assert bank.used_bytes <= bank.frames("hum-3") * 64 * 4, "the least recently used went"


@pytest.mark.parametrize(
    ("dtype", "codec_dtype"), [(torch.bfloat16, None), (torch.float16, torch.float32)], ids=["bf16", "fp16"]
)
def test_half_precision_speaks_about_the_same(
    bench: Bench, dtype: torch.dtype, codec_dtype: torch.dtype | None
) -> None:
    model = build_random("tiny", dtype=dtype, device="cpu", codec_dtype=codec_dtype)
    half = build_bench(model)
    assert (model.dtype, model.codec_dtype) == (dtype, codec_dtype or dtype)
    if codec_dtype is None:
        assert half.engine.state_bytes < 0.6 * bench.engine.state_bytes  # samples and counters have types of their own
    request = ask(expected_s=3.0)
    (exact,) = bench.speak(request)
    (said,) = half.speak(request)
    ours, theirs = read_trace(said.trace), read_trace(exact.trace)
    assert ours.tokens == theirs.tokens
    relative = np.abs(ours.features_F192 - theirs.features_F192).mean() / np.abs(theirs.features_F192).mean()
    assert relative < 0.1, relative
    level = said.pcm.std() / exact.pcm.std()
    assert level == pytest.approx(1.0, abs=0.1)
    said_again = {"r": Said()}
    half.engine.start(request)
    for _ in range(9):
        half.beat(said_again)
    trace = half.engine.trace("r")
    half.engine.stop("r")
    (rest,) = half.speak(replace(request, trace=trace))
    assert said_again["r"].pcm.size + rest.pcm.size == said.pcm.size
    assert half.is_empty()


def test_it_tells_what_it_has_counted_and_holds(bench: Bench) -> None:
    before = bench.engine.stats()
    (said,) = bench.speak(ask(expected_s=4.0))
    after = bench.engine.stats()
    assert (before.frames, after.frames) == (0, 30)
    assert after.tokens == len(read_trace(said.trace).tokens)
    assert after.read_tokens is not None
    assert after.read_tokens > 20, "the prompt"
    assert set(after.parts_s) == {"lm", "diffusion", "codec", "prefill"}
    assert min(after.parts_s.values()) > 0
    assert (after.kv_bytes, after.device_allocated_bytes) == (0, None)
    bench.engine.start(ask())
    assert bench.engine.stats().kv_bytes == bench.engine.used_bytes > 0
