"""Ctrl-C and SIGTERM: one line, exit code 130, never a trace; a second one does not wait. Imports nothing heavy.

What the first one does depends on what there is to put in order:

    leaving_at_once   nothing yet (modules are being imported, which may swallow an exception): the process ends here
    raise_once        KeyboardInterrupt wherever the program stands
    noted             nothing but a note, which the block reads where it can stop
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from longtake.cli.exits import EXIT_INTERRUPTED

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PLAIN_WORDS = "Interrupted."
_words = _PLAIN_WORDS
_is_told = False


def will_tell(words: str = _PLAIN_WORDS) -> None:
    """What an interrupt tells from now on."""
    global _words, _is_told
    _words, _is_told = words, False


def tell() -> None:
    """Tell it, once."""
    global _is_told
    if not _is_told:
        print(_line(), file=sys.stderr, flush=True)
        _is_told = True


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """For the length of a block."""
    before = [signal.getsignal(number) for number in _SIGNALS]
    leave_at_once()
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def leave_at_once() -> None:
    for number in _SIGNALS:
        signal.signal(number, _leave)


def ignore() -> None:
    """All is done or told, and the exit code is chosen: in the interpreter's own end a signal would change it."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def raise_once() -> None:
    for number in _SIGNALS:
        signal.signal(number, _raise)


@contextmanager
def noted() -> Iterator[Callable[[], None]]:
    """Gives a function that raises KeyboardInterrupt if there was an interrupt; so does the end of the block.

    So a block that starts processes and holds locks is left in good order.
    """
    is_noted = False

    def note(*_: object) -> None:
        nonlocal is_noted
        is_noted = True
        leave_at_once()

    def check() -> None:
        if is_noted:
            raise KeyboardInterrupt

    before = [signal.signal(number, note) for number in _SIGNALS]
    try:
        yield check
    finally:
        if not is_noted:
            for number, handler in zip(_SIGNALS, before, strict=True):
                signal.signal(number, handler)
    check()


def _raise(*_: object) -> NoReturn:
    leave_at_once()
    raise KeyboardInterrupt


def _leave(*_: object) -> NoReturn:
    if not _is_told:
        os.write(2, f"{_line()}\n".encode())  # print may be in the middle of something
    os._exit(EXIT_INTERRUPTED)


def _line() -> str:
    return f"\n{_words}" if sys.stderr.isatty() else _words  # a terminal shows ^C
