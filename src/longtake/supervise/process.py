"""A worker process and its last words. Spawned, never forked: the child of a process with threads starts from nothing.

What it logs goes into files of its own. Here is what reaches its standard error all the same: the complaints of C
libraries, the stacks that `faulthandler` prints when it dies, and its last line, which says why it gives up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

WORDS_LIMIT_BYTES = 1 << 20
_TAIL_BYTES = 16 << 10  # the stacks of some fifty threads


class WorkerProcess:
    """One spawned process, spoken to through its standard input; it ends by itself when that input ends."""

    def __init__(self, module: str, first_line: str, words_path: Path) -> None:
        """
        Raises:
            OSError: The file cannot be written, or the system starts no process.
        """
        bound_words(words_path)
        self._words_path = words_path
        words_path.parent.mkdir(mode=0o700, exist_ok=True)  # someone may have tidied up
        with words_path.open("ab") as words:
            self._words_start = words.tell()
            self._popen = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=words,
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
        lines = self.words().splitlines()
        return f"{how}: {lines[-1].strip()}" if lines and (code or 0) > 0 else how

    def words(self) -> str:
        """The end of what it wrote to its standard error."""
        try:
            with self._words_path.open("rb") as words:
                size = words.seek(0, os.SEEK_END)
                start = self._words_start if self._words_start <= size else 0  # it was emptied meanwhile
                words.seek(max(start, size - _TAIL_BYTES))
                return words.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""


def bound_words(path: Path) -> None:
    """Empty the file when it has grown large; whoever writes to it goes on at its beginning."""
    with suppress(OSError):
        if path.stat().st_size > WORDS_LIMIT_BYTES:
            os.truncate(path, 0)
