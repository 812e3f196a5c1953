from __future__ import annotations

from pathlib import Path

import pytest

from longtake.core.memory import MemoryUse
from longtake.supervise.answers import Answer, answer_path, read_answer, write_answer

ANSWER = Answer("5f3a", MemoryUse(900, 500, 600), MemoryUse(300, 0, 0))


def test_an_answer_is_found_under_its_ticket_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert read_answer(folder, "espeak", "5f3a") is None
    write_answer(folder, "espeak", ANSWER)
    assert read_answer(folder, "espeak", "5f3a") == ANSWER
    assert read_answer(folder, "espeak", "5f3b") is None
    assert read_answer(folder, "vibevoice", "5f3a") is None
    assert [path.name for path in folder.iterdir()] == ["answer-espeak.json"], "nothing half-written is left"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ticket": "5f3a"}', '{"ticket": "5f3a", "before": 1, "after": 2}'])
def test_what_is_damaged_is_no_answer(tmp_path: Path, text: str) -> None:
    answer_path(tmp_path, "espeak").write_text(text)
    assert read_answer(tmp_path, "espeak", "5f3a") is None


def test_where_nothing_can_be_written_nothing_is_raised(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    write_answer(tmp_path / "run", "espeak", ANSWER)


def test_what_was_given_back() -> None:
    assert ANSWER.before.less(ANSWER.after) == MemoryUse(600, 500, 600)
    assert MemoryUse(100).less(MemoryUse(300)) == MemoryUse(0), "growth is no gift"
    assert MemoryUse(100).less(MemoryUse(50, 1, 1)) == MemoryUse(50), "what was not measured is absent, not 0"
