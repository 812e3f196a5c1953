"""What a passage's end says: done, hardly spoken, not spoken at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from longtake.core.errors import EngineError
from longtake.engines.base import End
from longtake.engines.vibevoice import engine
from longtake.engines.vibevoice.network.names import DIFFUSION
from longtake.engines.vibevoice.planning.ending import end_of_speech
from tests.unit.engines.vibevoice.conftest import Bench, Said, ask


def test_speech_without_a_sound_has_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "plan_tokens", lambda lines, expected_s: [])
    bench.engine.start(ask(index=2, expected_s=8.0))
    failed = bench.speak_all({"r": Said()})
    assert isinstance(failed["r"], EngineError)
    assert failed["r"].code == "nothing_spoken"
    for word in ("passage 3", "0:08 were expected", "--from TIME", "--seed"):
        assert word in failed["r"].message
    assert bench.is_empty()


def test_where_there_is_nothing_to_say_silence_is_right(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "plan_tokens", lambda lines, expected_s: [])
    request = ask(text="…")
    lines = tuple(type(line)(line.speaker, "… —", "en") for line in request.passage.lines)
    request = type(request)("r", type(request.passage)(0, lines, 0.0), request.voices)
    (said,) = bench.speak(request)
    assert said.end is not None
    assert (said.end.end, said.end.message, said.pcm.size) == (End.FINISHED, "", 0)


@pytest.mark.parametrize(
    ("expected_s", "frames", "is_remarkable"),
    [(8.0, 5, True), (8.0, 6, False), (3.4, 1, False), (3.5, 2, True), (600.0, 449, True), (600.0, 450, False)],
)
def test_speech_far_too_short_is_done_with_a_remark(expected_s: float, frames: int, is_remarkable: bool) -> None:
    ended = end_of_speech(ask(index=1, expected_s=expected_s), frames)
    assert ended.end is End.FINISHED
    assert ended.message.startswith("Most of passage 2 is probably missing: it lasts") == is_remarkable
    assert bool(ended.message) == is_remarkable


def test_the_remark_reaches_who_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "plan_tokens", lambda lines, expected_s: [DIFFUSION] * 3)
    (said,) = bench.speak(ask(expected_s=8.0))
    assert said.end is not None
    assert said.pcm.size == 3 * 3200
    assert "it lasts 0.4 s, and about 0:08 were expected" in said.end.message
    assert "another seed" in said.end.message


def test_what_was_spoken_before_a_resume_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passage that is gone on with just before its end has frames, though none of them are new."""
    from dataclasses import replace

    request = ask(expected_s=1.2)
    (said,) = bench.speak(request)
    (rest,) = bench.speak(replace(request, trace=said.trace[:-1]))
    assert rest.end is not None
    assert (rest.end.end, rest.pcm.size) == (End.FINISHED, 0)
