"""What was found in a script, and where. Knows not how a finding is shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"  # the script is not spoken
    WARNING = "warning"  # it is spoken, but perhaps not as meant
    NOTE = "note"  # worth knowing


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a user may want to mend.

    Attributes:
        code: A stable word for programs, such as ``unknown_voice``.
        line: From 1; None when the finding is about the whole script.
        column: From 1, in characters; None with `line`.
        message: What is wrong and what to do, in one or two sentences. Lone surrogates and control
            characters of the script are escaped in it.
    """

    severity: Severity
    code: str
    line: int | None
    column: int | None
    message: str
