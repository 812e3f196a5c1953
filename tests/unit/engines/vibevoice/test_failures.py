"""One request fails, or the process ends: what it is, whom it concerns, and that nothing is held afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from longtake.core.errors import CapacityError, InvariantError, LongtakeError, WorkerError
from longtake.engines.vibevoice import engine as engine_module
from longtake.engines.vibevoice.decoding.feed import Feed
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import DIFFUSION
from tests.unit.engines.vibevoice.conftest import Bench, Said, ask

NO_ROOM = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines.")
BROKEN = RuntimeError("CUDA error: an illegal memory access was encountered")


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


def second(error: Exception, real: Callable[..., Any]) -> Callable[..., Any]:
    """Fails at its second call."""
    calls = iter(range(100))

    def call(*args: Any) -> Any:
        if next(calls) == 1:
            raise error
        return real(*args)

    return call


@pytest.mark.parametrize("error", [NO_ROOM, BROKEN, ValueError("a bug")])
@pytest.mark.parametrize("where", ["open_row", "second open_row", "_replay", "embed"])
def test_a_start_that_fails_holds_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    """Eight of them would take every place for ever."""
    kv = bench.runner.kv
    with monkeypatch.context() as patch:
        match where:
            case "open_row":
                patch.setattr(kv, "open_row", failing(error))
            case "second open_row":
                patch.setattr(kv, "open_row", second(error, kv.open_row))
            case "_replay":
                patch.setattr(bench.runner, "_replay", failing(error))
            case "embed":
                patch.setattr(Feed, "embed", failing(error))
        with pytest.raises((LongtakeError, ValueError)) as refused:
            bench.engine.start(ask())
    told: dict[Exception, type[Exception]] = {NO_ROOM: CapacityError, BROKEN: WorkerError}
    assert type(refused.value) is told.get(error, ValueError)
    assert bench.is_empty()
    assert bench.speak(ask())[0].end is not None


def test_no_room_is_told_with_what_was_asked_and_what_is_free(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.runner.kv, "open_row", failing(NO_ROOM))
    with pytest.raises(CapacityError) as refused:
        bench.engine.start(ask())
    asked = bench.engine.cost(ask()).used_bytes / 2**10
    message = refused.value.message
    assert f"asks for {asked:.1f} KiB" in message
    assert "GiB are free" in message
    assert "Tried to allocate 2.00 GiB.)" in message
    assert "More lines" not in message
    assert "--memory-budget" in message
    assert refused.value.code == "out_of_memory"


class Boom:
    def choose(self, step: int, favourite: int) -> int:
        if step == 3:
            raise RuntimeError("boom")
        return DIFFUSION


@contextmanager
def three_of_whom_one_fails(bench: Bench) -> Iterator[dict[str, Said]]:
    """The middle one is to fail; those beside it must be spoken as they are alone."""
    alone = {name: bench.speak(ask(name, seed=number))[0] for number, name in enumerate("ac")}
    said = {name: Said() for name in "abc"}
    for number, name in enumerate("ac"):
        bench.engine.start(ask(name, seed=number))
    bench.engine.start(ask("b"))
    yield said
    for name in "ac":
        assert said[name].end is not None
        assert np.abs(said[name].pcm - alone[name].pcm).max() <= 2
    assert bench.is_empty()


def test_a_stream_that_raises_fails_alone(bench: Bench) -> None:
    with three_of_whom_one_fails(bench) as said:
        bench.engine._active["b"].stream.chooser = Boom()
        failed = bench.speak_all(said)
    assert list(failed) == ["b"]
    assert isinstance(failed["b"], InvariantError)
    assert "RuntimeError: boom" in failed["b"].message
    assert isinstance(failed["b"].__cause__, RuntimeError), "the log shows where"
    assert len(said["b"].chunks) == 3, "what it spoke before is given"


@pytest.mark.parametrize("where", ["write_step", "Chunk"])
def test_what_becomes_of_a_frame_fails_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    real = getattr(engine_module, where)
    with three_of_whom_one_fails(bench) as said:
        order = list(bench.engine._active)
        calls = iter(range(10_000))

        def call(*args: Any) -> Any:
            if next(calls) == order.index("b"):
                raise ValueError(f"no {where}")
            return real(*args)

        while any(active.feed for active in bench.engine._active.values()):
            bench.engine._read_some(engine_module._Beat())
        monkeypatch.setattr(engine_module, where, call)
        failed = bench.speak_all(said)
    assert list(failed) == ["b"]
    assert f"no {where}" in failed["b"].message


def test_how_it_ended_fails_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bench.engine._end

    def end(active: Any, outcome: Any) -> Any:
        if active.request.id == "b":
            raise KeyError("b")
        return real(active, outcome)

    with three_of_whom_one_fails(bench) as said:
        monkeypatch.setattr(bench.engine, "_end", end)
        failed = bench.speak_all(said)
    assert list(failed) == ["b"]


@pytest.mark.parametrize(("error", "kind"), [(NO_ROOM, CapacityError), (ValueError("a bug"), InvariantError)])
def test_a_prompt_that_cannot_be_read_fails_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[LongtakeError]
) -> None:
    real = bench.runner.read
    with three_of_whom_one_fails(bench) as said:
        middle = bench.engine._active["b"].stream
        monkeypatch.setattr(
            bench.runner, "read", lambda stream, *more: failing(error)() if stream is middle else real(stream, *more)
        )
        failed = bench.speak_all(said)
    assert list(failed) == ["b"]
    assert isinstance(failed["b"], kind)


def test_no_room_in_a_step_fails_the_one_who_speaks_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bench.runner, "step", failing(NO_ROOM))
        bench.engine.start(ask())
        failed = bench.speak_all({"r": Said()})
    assert isinstance(failed["r"], CapacityError)
    assert bench.is_empty()
    assert bench.speak(ask())[0].end is not None


def test_no_room_in_a_step_of_several_gives_all_of_them_up_with_their_traces(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coders of all are somewhere between two frames; what each has spoken is enough to go on behind it."""
    whole = {name: bench.speak(ask(name, seed=number))[0] for number, name in enumerate("ab")}
    said = {name: Said() for name in "ab"}
    for number, name in enumerate("ab"):
        bench.engine.start(ask(name, seed=number))
    while min(len(one.chunks) for one in said.values()) < 3:
        bench.beat(said)
    with monkeypatch.context() as patch:
        patch.setattr(bench.runner, "step", failing(NO_ROOM))
        failed = {each.request_id: each for each in bench.engine.step().failed}
    assert {each.error.code for each in failed.values()} == {"out_of_memory"}
    assert set(failed) == {"a", "b"}
    assert bench.is_empty()
    for number, name in enumerate("ab"):
        rest = bench.speak(ask(name, seed=number, trace=failed[name].trace))[0]
        resumed = np.concatenate([said[name].pcm, rest.pcm])
        assert np.abs(resumed - whole[name].pcm).max() <= 33  # a resume is exact to 1e-3


@pytest.mark.parametrize("error", [BROKEN, ValueError("a bug")])
def test_a_step_that_fails_for_several_ends_the_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whose fault it was cannot be told, and the coders of all are somewhere between two frames."""
    bench.engine.start(ask("a"))
    bench.engine.start(ask("b"))
    while any(active.feed for active in bench.engine._active.values()):
        bench.engine.step()
    monkeypatch.setattr(bench.runner, "step", failing(error))
    with pytest.raises(WorkerError, match="A step of 2 passages failed"):
        bench.engine.step()


@pytest.mark.parametrize("where", ["read", "step"])
def test_a_broken_device_ends_the_process(bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    bench.engine.start(ask())
    monkeypatch.setattr(bench.runner, where, failing(BROKEN))
    with pytest.raises(WorkerError, match="illegal memory access"):
        bench.engine.step()


# Numbers that are none


def spoil(model: VibeVoiceModel, name: str, value: float) -> Callable[[], None]:
    """Set one weight; gives the way back."""
    weight = dict(model.named_parameters())[name].view(-1)
    before = weight[0].clone()
    weight[0] = value

    def mend() -> None:
        weight[0] = before

    return mend


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("prediction_head.noisy_images_proj.weight", "the frame is not finite"),
        ("acoustic_tokenizer.decoder.head.conv.conv.bias", "the frame is not finite"),
        ("control_head.weight", "the logits are not finite"),
    ],
)
def test_what_is_no_number_is_never_given_out_as_sound(bench: Bench, name: str, what: str, value: float) -> None:
    mend = spoil(bench.engine.model, name, value)
    try:
        bench.engine.start(ask())
        said = {"r": Said()}
        failed = bench.speak_all(said)
    finally:
        mend()
    assert failed["r"].code == "not_finite"
    assert what in failed["r"].message
    assert "--dtype bf16 or fp32" in failed["r"].message
    assert "random:test on cpu, float32" in failed["r"].message
    assert said["r"].chunks == []
    assert bench.is_empty()
    whole = bench.speak(ask())[0]
    assert np.isfinite(whole.pcm).all(), "the place it had is clean again"


def test_one_whose_numbers_are_none_fails_alone(bench: Bench) -> None:
    with three_of_whom_one_fails(bench) as said:
        bench.beat(said)
        slot = bench.engine._active["b"].stream.slot
        bench.runner.stages.board.write_input(slot, torch.full((64,), float("nan")))
        failed = bench.speak_all(said)
    assert list(failed) == ["b"]
    assert failed["b"].code == "not_finite"
