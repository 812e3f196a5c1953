"""Orders that a worker is asked to answer, and how the answer comes back: one small file an engine, read by its ticket.

The pipe to a worker carries words one way only. A file that is renamed into its place is whole or not there, survives
whoever wrote it, and a lost one costs its reader a wait and nothing else.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from longtake.core.memory import MemoryUse

WAKE = "wake"
STOP = "stop"  # checkpoint, release every job, leave
DRAIN = "drain"  # speak what is held to its end, then leave
UNLOAD = "unload"  # checkpoint, release every job, drop the engine, stay
LOAD = "load"
RELEASE = "release"  # what is kept only to be quicker; the engine stays, and jobs go on
MEASURE = "measure"
ORDERS = (DRAIN, UNLOAD, LOAD, RELEASE, MEASURE)  # what a worker's life knows, beside being woken and stopped


@dataclass(frozen=True, slots=True)
class Answer:
    """An order is carried out.

    Attributes:
        before: What the process held when the order came.
        after: What it held when it was carried out.
        error: Why it could not be.
    """

    ticket: str
    before: MemoryUse
    after: MemoryUse
    error: str | None = None


def answer_path(folder: Path, engine: str) -> Path:
    return folder / f"answer-{engine}.json"


def write_answer(folder: Path, engine: str, answer: Answer) -> None:
    """Put it where it is looked for; on a full disk nobody hears it, and the order was carried out all the same."""
    path = answer_path(folder, engine)
    tmp = path.with_suffix(".tmp")
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        tmp.write_text(json.dumps(asdict(answer)), encoding="utf-8")
        os.replace(tmp, path)


def read_answer(folder: Path, engine: str, ticket: str) -> Answer | None:
    """None while there is none under that ticket."""
    try:
        fields = json.loads(answer_path(folder, engine).read_bytes())
        if fields["ticket"] != ticket:
            return None
        return Answer(ticket, MemoryUse(**fields["before"]), MemoryUse(**fields["after"]), fields["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
