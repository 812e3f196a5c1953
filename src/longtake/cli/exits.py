"""The one table from errors to exit codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longtake.core.errors import CapacityError, InputError, InvariantError, LongtakeError, TransientError, WorkerError

EXIT_DONE = 0
EXIT_BAD_INPUT = 2
EXIT_DOES_NOT_FIT = 3
EXIT_ENGINE_FAILED = 4
EXIT_INTERRUPTED = 130

EXIT_CODES: dict[type[LongtakeError], int] = {
    InputError: EXIT_BAD_INPUT,
    CapacityError: EXIT_DOES_NOT_FIT,
    TransientError: EXIT_ENGINE_FAILED,
    WorkerError: EXIT_ENGINE_FAILED,
    InvariantError: EXIT_ENGINE_FAILED,
}


def exit_code_of(error: LongtakeError) -> int:
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), EXIT_ENGINE_FAILED)


def exit_code_of_failed_job(error: Mapping[str, Any] | None) -> int:
    """A failed job keeps its error as a record."""
    by_type = {"invalid_request_error": EXIT_BAD_INPUT, "capacity_error": EXIT_DOES_NOT_FIT}
    return by_type.get(str((error or {}).get("type")), EXIT_ENGINE_FAILED)
