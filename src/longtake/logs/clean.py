"""Makes what was logged harmless: no control characters, no secrets, no text of a script, no endless values.

Everything here is a processor of structlog: it takes an event as a dictionary and gives it changed.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from pydantic import SecretStr

from longtake.core.errors import LongtakeError

EVENT_CHARACTERS, FIELD_CHARACTERS, TRACE_CHARACTERS, NAME_CHARACTERS = 2000, 500, 6000, 60
FIELDS = 16  # beside those that every line has
TRACE = "trace"
_HIDDEN = "•••"
_SCRIPT_PARAMS = frozenset({"script", "input"})  # fields of requests that hold a script

Event = MutableMapping[str, Any]

# What moves the cursor of a terminal, ends a line for somebody, or turns the direction of the text around it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\x1b"}

_SECRETS = (
    (re.compile(r"\b((?:authorization|proxy-authorization|cookie)['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"]+", re.I), r"\1"),
    (re.compile(r"\b(bearer\s+)[^\s'\",;]+", re.I), r"\1"),
    (
        re.compile(
            r"((?:api[_-]?key|token|secret|password|passwd|access_key|[?&]key)['\"]?\s*[:=]\s*['\"]?)[\w./+~-]{6,}",
            re.I,
        ),
        r"\1",
    ),
    # Whatever is no web address carries its secrets in itself, as with messengers: slack://A/B/C, mailto://me:word@host.
    (re.compile(r"\b(?!https?://|wss?://|file://)([a-z][a-z0-9+.-]{1,20}://)[^\s'\"<>]+", re.I), r"\1"),
    (re.compile(r"\b((?:https?|wss?)://)[^/\s@'\"]+(?=@)", re.I), r"\1"),
    (re.compile(r"\b(hf_|sk-)[A-Za-z0-9_-]{16,}"), r"\1"),
)
_SECRET_NAME = re.compile(r"key|secret|token|password|url", re.I)


def escape(text: str) -> str:
    """Control characters as people write them: a line stays one line, and a terminal shows it and does nothing else."""
    return _CONTROL.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    character = found[0]
    return _SHORT.get(character) or (f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}")


def secrets_in(settings: Mapping[str, Any]) -> Iterator[str]:
    """The values of a settings tree that its names call secret, such as ``server.api_key``."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from secrets_in(value)
        elif _SECRET_NAME.search(name):
            for each in value if isinstance(value, list | tuple) else [value]:
                if each:
                    yield each.get_secret_value() if isinstance(each, SecretStr) else str(each)


class Mask:
    """Hides secrets: those it was told of, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def hide(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(_HIDDEN, text)
        for pattern, kept in _SECRETS:
            text = pattern.sub(kept + _HIDDEN, text)
        return text

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        """The last word on every value: hidden, short, and harmless to show."""
        return {escape(str(name))[:NAME_CHARACTERS]: self._cleaned(name, value) for name, value in event.items()}

    def _cleaned(self, name: str, value: Any) -> Any:
        if isinstance(value, bool | int | float) or value is None:
            return value
        text = self.hide(value if isinstance(value, str) else repr(value))
        if name == TRACE:  # its line breaks are its form
            return _shortened("\n".join(map(escape, text.split("\n"))), TRACE_CHARACTERS)
        return _shortened(escape(text), EVENT_CHARACTERS if name == "event" else FIELD_CHARACTERS)


def _shortened(text: str, limit: int) -> str:
    """The beginning and the end, which of an error say the most."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"


def without_script(record: logging.LogRecord) -> logging.LogRecord:
    """The record, with errors that are about a script told by their code: their messages quote it."""
    if not isinstance(record.args, tuple) or not any(_quotes_script(value) for value in record.args):
        return record
    changed = logging.makeLogRecord(record.__dict__)
    changed.args = tuple(
        _told(value) if isinstance(value, LongtakeError) and _quotes_script(value) else value for value in record.args
    )
    return changed


def _quotes_script(error: object) -> bool:
    return isinstance(error, LongtakeError) and (error.param or "").split(".")[0] in _SCRIPT_PARAMS


def _told(error: BaseException) -> str:
    return f"{type(error).__name__} ({getattr(error, 'code', '')}; its words may be the script's)"


class Trace:
    """Turns the exception of an event into the text of one field."""

    def __init__(self, *, with_script: bool) -> None:
        self._with_script = with_script

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        info = event.pop("exc_info", None)
        stack = event.pop("stack_info", None)
        if isinstance(info, tuple) and info[1] is not None:
            event[TRACE] = "\n".join(self._lines(info[1]))
        elif stack:
            event[TRACE] = str(stack)
        return event

    def _lines(self, error: BaseException, depth: int = 8, *, is_hidden: bool = False) -> Iterable[str]:
        """As Python prints it, but for the words of errors about a script, and of what led to them."""
        is_hidden = not self._with_script and (is_hidden or _quotes_script(error))
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if before is not None and depth:
            yield from self._lines(before, depth - 1, is_hidden=is_hidden)
            yield "which led to"
        yield from (line.rstrip("\n") for line in traceback.format_tb(error.__traceback__))
        yield _told(error) if is_hidden else f"{type(error).__name__}: {error}"
