"""A worker process and its log. Spawned, never forked: a child of a process with threads must start from nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

LOG_LIMIT_BYTES = 10 << 20
_TAIL_BYTES = 4096


class WorkerProcess:
    """One spawned process, spoken to through its standard input; it ends by itself when that input ends."""

    def __init__(self, module: str, first_line: str, log_path: Path) -> None:
        """
        Raises:
            OSError: The log cannot be written, or the system starts no process.
        """
        if log_path.exists() and log_path.stat().st_size > LOG_LIMIT_BYTES:
            log_path.replace(log_path.with_suffix(".old.log"))
        self._log_path = log_path
        log_path.parent.mkdir(mode=0o700, exist_ok=True)  # someone may have tidied up
        with log_path.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is the parent's to answer
            )
        stdin = self._popen.stdin
        assert stdin is not None  # noqa: S101  (it is a pipe)
        with suppress(OSError):
            stdin.write(first_line.encode())
            stdin.flush()
        os.set_blocking(stdin.fileno(), False)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it lives; negative when a signal ended it."""
        return self._popen.poll()

    def send(self, line: str) -> None:
        """Never blocks: a frozen process does not read, and then its pipe is full of orders to wake anyway.

        A process that has just died is not an error here: the next look finds it out.
        """
        stream = self._popen.stdin
        if stream is not None and not stream.closed:
            with suppress(OSError):
                os.write(stream.fileno(), line.encode())

    def kill(self) -> None:
        self._popen.kill()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended by then."""
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Free the pipe of an ended process."""
        if self._popen.stdin is not None:
            with suppress(OSError):  # what was not flushed cannot be
                self._popen.stdin.close()

    def last_words(self) -> str:
        """How it ended, for people: the signal or exit code, and the last line it wrote."""
        code = self.exit_code()
        if code is None:
            how = "it still lives"
        elif code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        else:
            how = f"exit code {code}"
        line = self._last_line()
        return f"{how}: {line}" if line else how

    def _last_line(self) -> str:
        try:
            with self._log_path.open("rb") as log:
                log.seek(0, 2)
                log.seek(max(self._log_start, log.tell() - _TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].strip() if lines and (self.exit_code() or 0) > 0 else ""
