"""The wire from supervisor to worker: one JSON line to begin with, then orders. Its end: the parent died.

An order is a line of one word; who wants an answer puts a ticket behind it (``unload 5f3a``), and finds the answer
under that ticket in the data folder's ``run/`` (`supervise.answers`). Behind an order to rest is its reason, as JSON.

A pipe and not a signal, because a pipe also tells of a parent that was killed with -9.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

from longtake.config import Settings
from longtake.supervise.answers import STOP

GO = "go"
HOLD = "hold"
PAUSE = "pause"
RESTS = (GO, HOLD, PAUSE)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker process is told when it starts."""

    worker_id: str
    engine: str
    settings: Settings
    only_job: str | None = None

    def to_line(self) -> str:
        fields = {
            "worker_id": self.worker_id,
            "engine": self.engine,
            "only_job": self.only_job,
            "settings": self.settings.model_dump(mode="json"),
        }
        return json.dumps(fields) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Assignment:
        fields = json.loads(line)
        # The tree was built and checked by the parent; the child's own environment must not change it again.
        return cls(fields["worker_id"], fields["engine"], settings_from_json(fields["settings"]), fields["only_job"])


@dataclass(frozen=True, slots=True)
class Rest:
    """How far a worker is to rest, as while a card cools. Said again now and then, since workers come and go.

    Attributes:
        word: GO: not at all; HOLD: it begins no job, speech and probes go on; PAUSE: it speaks nothing.
        reason: For the users of the jobs.
    """

    word: str = GO
    reason: str | None = None

    def to_order(self) -> str:
        return self.word if self.reason is None else f"{self.word} {json.dumps(self.reason)}"

    @classmethod
    def from_order(cls, word: str, reason: str) -> Rest:
        """Of the two parts of `to_order`."""
        return cls(word, json.loads(reason) if reason else None)


def settings_from_json(fields: dict[str, object]) -> Settings:
    """The very tree that was dumped: no environment, no file."""
    return Settings.model_validate(fields)


def follow_orders(stream: IO[str], hands: Mapping[str, Callable[[str], None]], on_end: Callable[[], None]) -> None:
    """Read orders in a thread of their own until `STOP` or the end of the stream, which is an order to stop too.

    Args:
        hands: Word → what carries it out, called with the ticket behind the word (``""`` without one). Other words are
            ignored: they may come from a newer parent.
    """

    def read() -> None:
        for line in stream:
            word, _, ticket = line.strip().partition(" ")
            if word == STOP:
                break
            if word in hands:
                hands[word](ticket)
        on_end()

    threading.Thread(target=read, name="orders", daemon=True).start()


def read_assignment(stream: IO[str]) -> Assignment:
    line = stream.readline()
    if not line:
        sys.exit("A worker is started by its supervisor: `longtake serve` or `longtake say`.")
    return Assignment.from_line(line)
