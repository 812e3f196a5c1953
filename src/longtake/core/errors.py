"""The one tree of errors. Knows nothing of HTTP or exit codes: `server.errors` and `cli.exits` hold those tables.

LongtakeError
├── InputError            the caller can mend it
│   ├── NotFoundError     no such job, voice, model
│   ├── ConflictError     the thing exists, but not in a state that allows this
│   └── TooLargeError     over a stated limit
├── CapacityError         does not fit: now (retry_after_s is set) or never
│   ├── QueueFullError    the bounded queue is full
│   └── DiskFullError     the data folder has no room
├── TransientError        try again, nothing is wrong with the request
├── WorkerError           the worker process must end; its jobs go on in a fresh one
│   └── EngineError       the engine could not speak; inside `Failed` it concerns one request, and the process lives
└── InvariantError        our bug
    └── LeaseLostError    this worker no longer owns the job: what it holds is void
"""

from __future__ import annotations


class LongtakeError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What happened, the value, the limit and what to do, in one or two sentences.
        code: A stable word for programs, such as ``unknown_voice``.
        param: The field of the request that is at fault, if one is.
        retry_after_s: When it may be worth trying again; None means that waiting does not help.
    """

    code = "error"

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after_s = retry_after_s


class InputError(LongtakeError):
    code = "invalid_input"


class NotFoundError(InputError):
    code = "not_found"


class ConflictError(InputError):
    code = "conflict"


class TooLargeError(InputError):
    code = "too_large"


class CapacityError(LongtakeError):
    code = "does_not_fit"


class QueueFullError(CapacityError):
    code = "queue_full"


class DiskFullError(CapacityError):
    code = "disk_full"


class TransientError(LongtakeError):
    code = "try_again"


class WorkerError(LongtakeError):
    code = "worker_failed"


class EngineError(WorkerError):
    code = "engine_failed"


class InvariantError(LongtakeError):
    code = "internal_error"


class LeaseLostError(InvariantError):
    code = "lease_lost"
