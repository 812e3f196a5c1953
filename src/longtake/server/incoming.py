"""From the bytes of a request to a body that is known to be good. Knows no route."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Request
from pydantic import ValidationError

from longtake.core.errors import InputError, NotFoundError
from longtake.server.errors import failure_of_fields
from longtake.wire.fields import Body

B = TypeVar("B", bound=Body)
MAX_INTEGER = 2**63 - 1  # SQLite knows no larger one
_JOB_ID = re.compile(r"job_[0-9A-Za-z_-]{1,60}")
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def json_body(kind: type[B], *, is_required: bool = True) -> Callable[[Request], Awaitable[B]]:
    """A dependency that reads and checks a JSON body, whatever its Content-Type says: curl says a form.

    Where none is required, nothing counts as a body without a field.

    The dependency raises InputError: the body is not UTF-8, not JSON, or not a `kind`.
    """

    async def read(request: Request) -> B:
        data = await request.body() or (b"" if is_required else b"{}")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"The body is not UTF-8: byte {error.start} (0x{data[error.start]:02X}) does not belong there.",
                code="invalid_encoding",
            ) from error
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            failure = failure_of_fields(error.errors(include_url=False))
            raise InputError(failure.message, code=failure.code, param=failure.param) from None

    return read


def checked_fields(kind: type[B], fields: Mapping[str, Any]) -> B:
    """The text fields of a form, checked as a JSON body is.

    Raises:
        InputError: They are not a `kind`.
    """
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        failure = failure_of_fields(error.errors(include_url=False))
        raise InputError(failure.message, code=failure.code, param=failure.param) from None


def documented(kind: type[Body], *, is_required: bool = True) -> dict[str, Any]:
    """The part of OpenAPI that tells of a body which `json_body` reads."""
    schema = kind.model_json_schema()
    return {"requestBody": {"required": is_required, "content": {"application/json": {"schema": schema}}}}


def _valid_job_id(job_id: Annotated[str, Path()]) -> str:
    """Ids name folders: what does not look like one of ours does not exist, before anything is done with it."""
    if not _JOB_ID.fullmatch(job_id):
        raise NotFoundError(f"There is no job {job_id!a}.", code="job_not_found")
    return job_id


JobId = Annotated[str, Depends(_valid_job_id)]


def idempotency_key(request: Request) -> str | None:
    """
    Raises:
        InputError: The header's value is not 1 to 200 visible ASCII characters.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InputError(
            "The Idempotency-Key must have 1 to 200 visible ASCII characters.",
            code="invalid_value",
            param="Idempotency-Key",
        )
    return key
