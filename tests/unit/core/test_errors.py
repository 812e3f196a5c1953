from __future__ import annotations

import re

from longtake.core import errors
from longtake.core.errors import LongtakeError, QueueFullError


def subclasses(kind: type[LongtakeError]) -> set[type[LongtakeError]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__())) if kind.__subclasses__() else {kind}


def test_the_drawing_shows_the_tree() -> None:
    drawn = set(re.findall(r"\b\w+Error\b", errors.__doc__ or ""))
    assert drawn == {kind.__name__ for kind in subclasses(LongtakeError) if kind.__module__ == errors.__name__}


def test_an_error_carries_what_a_program_needs() -> None:
    error = QueueFullError("full", param="script", retry_after_s=3.0)
    assert (str(error), error.code, error.param, error.retry_after_s) == ("full", "queue_full", "script", 3.0)
    assert QueueFullError("x", code="other").code == "other"
