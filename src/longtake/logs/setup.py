"""Sends the log of a process where it belongs: its file, the log of the job it is about, and the console.

All code logs by ``logging.getLogger(__name__)``, with ``extra={"job": …, "passage": …}``; here structlog makes one line
of JSON of each record. Called once, at the entrance of a process.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.types import Processor

from longtake.config import LogSettings
from longtake.logs.clean import FIELDS, TRACE, Event, Mask, Trace, without_script
from longtake.logs.lines import LineFile

FILE_BYTES, FILES = 10 << 20, 5  # of a process
JOB_FILE_BYTES, JOB_FILES = 512 << 10, 2  # of a job: how it ended is more worth than how it began
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"  # always as long, so that lines are sorted by their letters
_ORDER = ("time", "level", "event", "logger", "process", "pid", "job", "passage")
_LAST = (TRACE,)
_LEFT_BEHIND = ("message", "asctime", "color_message")  # in records, by other formatters and by uvicorn
_NOISY = ("httpx", "httpcore", "urllib3", "filelock", "asyncio")  # they tell of every request, and of the studio's own


@contextmanager
def logging_to(
    path: Path,
    settings: LogSettings,
    *,
    job_log: Callable[[str], Path | None],
    console: IO[str] | None = None,
    secrets: Iterable[str] = (),
) -> Iterator[LogFiles]:
    """Log to ``path`` while the block runs; its stem is what the process is called there.

    Args:
        job_log: Where the log of a job lies; None when there is no place for it.
        console: Where people look at this process; None when nobody does.
        secrets: What must not be written even where it does not look like a secret.
    """
    chain: list[Processor] = [
        ProcessorFormatter.remove_processors_meta,
        Trace(with_script=settings.script_text),
        _Origin(path.stem),
        structlog.processors.TimeStamper(fmt=TIME, key="time"),
        _ordered,
        Mask(secrets),
    ]
    to_json = _formatter([*chain, _to_json])
    files = LogFiles(path, job_log, with_script=settings.script_text)
    files.setFormatter(to_json)
    handlers: list[logging.Handler] = [files]
    if console is not None:
        is_pretty = settings.console == "pretty" or (settings.console == "auto" and console.isatty())
        shown = _Console(console, with_script=settings.script_text)
        shown.setFormatter(_pretty(chain, has_colors=console.isatty()) if is_pretty else to_json)
        handlers.append(shown)
    root = logging.getLogger()
    level_before, hook_before = root.level, threading.excepthook
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(settings.level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    threading.excepthook = _tell_thread
    try:
        yield files
    finally:
        threading.excepthook = hook_before
        logging.captureWarnings(False)
        root.setLevel(level_before)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


class LogFiles(logging.Handler):
    """Writes to the file of the process and to those of jobs. What cannot be written is counted, and told later."""

    def __init__(self, path: Path, job_log: Callable[[str], Path | None], *, with_script: bool) -> None:
        super().__init__()
        self.lost = 0
        self._file = LineFile(path, limit_bytes=FILE_BYTES, kept=FILES - 1)
        self._job_log = job_log
        self._with_script = with_script

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception:  # a value that cannot even be shown: logging may not harm what it tells of
            self.lost += 1
            return
        if self.lost and self._file.write(self._line(self._told())):
            self.lost = 0
        if not self._file.write(line):
            self.lost += 1
        if isinstance(job := getattr(record, "job", None), str):
            self._write_to_job(job, line)

    def _write_to_job(self, job_id: str, line: bytes) -> None:
        path = self._job_log(job_id)
        if path is not None:
            file = LineFile(path, limit_bytes=JOB_FILE_BYTES, kept=JOB_FILES - 1)
            file.write(line)
            file.close()

    def _line(self, record: logging.LogRecord) -> bytes:
        record = record if self._with_script else without_script(record)
        return self.format(record).encode() + b"\n"

    def _told(self) -> logging.LogRecord:
        fields = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "args": ()}
        told = f"{self.lost} lines are lost: they could not be written ({self._file.fault or 'not shown'})"
        return logging.makeLogRecord({**fields, "msg": told, "lost": self.lost})

    def close(self) -> None:
        self._file.close()
        super().close()


class _Console(logging.StreamHandler[IO[str]]):
    """A console that has gone, or is full, does no harm."""

    def __init__(self, stream: IO[str], *, with_script: bool) -> None:
        super().__init__(stream)
        self._with_script = with_script

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record if self._with_script else without_script(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the name is logging's)
        pass


class _Origin:
    """Says which process it was."""

    def __init__(self, process: str) -> None:
        self._fields = {"process": process, "pid": os.getpid()}

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        for name in _LEFT_BEHIND:
            event.pop(name, None)
        event.update(self._fields)
        return event


def _ordered(logger: Any, method: str, event: Event) -> Event:
    """What every line has stands first and in this order: readers sort and sift lines by their first letters."""
    first = {name: event[name] for name in _ORDER if name in event}
    rest = {name: value for name, value in event.items() if name not in _ORDER and name not in _LAST}
    last = {name: event[name] for name in _LAST if name in event}
    return {**first, **dict(list(rest.items())[:FIELDS]), **last}


def _to_json(logger: Any, method: str, event: Event) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _pretty(chain: list[Processor], *, has_colors: bool) -> ProcessorFormatter:
    from structlog.dev import ConsoleRenderer  # here: a worker has no console

    renderer = ConsoleRenderer(colors=has_colors, timestamp_key="time", sort_keys=False)

    def render(logger: Any, method: str, event: Event) -> str:
        trace = event.pop(TRACE, None)
        for name in ("process", "pid"):
            event.pop(name, None)
        line = str(renderer(logger, method, event))
        # A bar before each of its lines: none of them can be taken for an event.
        return line if trace is None else "\n".join([line, *(f"    │ {each}" for each in trace.split("\n"))])

    return _formatter([*chain, render])


def _formatter(processors: list[Processor]) -> ProcessorFormatter:
    return ProcessorFormatter(foreign_pre_chain=[ExtraAdder(), add_log_level, add_logger_name], processors=processors)


def _tell_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or isinstance(args.exc_value, SystemExit):
        return
    name = args.thread.name if args.thread is not None else "?"
    info = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger(__name__).critical("thread %s died", name, exc_info=info)
    sys.__excepthook__(*info)  # and where nobody formats: the last words of a worker are taken from there
