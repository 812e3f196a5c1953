"""What is said of an error that ends a job, or its work for now."""

from __future__ import annotations

from longtake.core.disk import WRITE_FAILED
from longtake.core.errors import CapacityError, DiskFullError, InputError, LongtakeError, WorkerError

# As in the API's error envelope; the first that fits.
_KINDS: tuple[tuple[type[LongtakeError], str], ...] = (
    (InputError, "invalid_request_error"),
    (CapacityError, "capacity_error"),
    (WorkerError, "engine_error"),
    (LongtakeError, "server_error"),
)


def is_write_failure(error: BaseException | None) -> bool:
    """The disk would not take the audio: it is full, or broken."""
    if isinstance(error, WorkerError):
        return error.code == WRITE_FAILED
    return isinstance(error, DiskFullError | OSError)


def error_to_dict(error: BaseException) -> dict[str, str | None]:
    """How an error is stored with a failed job."""
    if isinstance(error, LongtakeError):
        kind = next(kind for cause, kind in _KINDS if isinstance(error, cause))
        return {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    return {
        "message": f"longtake made a mistake ({type(error).__name__}: {error}). The worker's log has the trace.",
        "type": "server_error",
        "param": None,
        "code": "internal_error",
    }
