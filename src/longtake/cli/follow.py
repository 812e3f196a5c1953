"""Shows a job until it ends: a progress bar on a terminal, a line every tenth elsewhere. Only looks, never decides."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from longtake.core.units import format_duration, seconds_of
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.monitor.heat import HEAT_REASON

LOOK_S = 0.1


class Show(Protocol):
    """A way to show a job."""

    def __enter__(self) -> Show: ...
    def __exit__(self, *exc: object) -> None: ...
    def update(self, job: Job, note: str) -> None: ...


class Quiet:
    """Shows nothing: --json."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def update(self, job: Job, note: str) -> None: ...


class Lines:
    """One line every tenth of the way, for logs."""

    def __init__(self) -> None:
        self._tenth = -1
        self._note = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def update(self, job: Job, note: str) -> None:
        tenth = 10 * job.passages_done // max(job.passages_total, 1)
        if tenth != self._tenth or note != self._note:
            self._tenth, self._note = tenth, note
            print(f"{job.state} {10 * tenth} %  {_spoken(job)}  {note}".rstrip(), file=sys.stderr, flush=True)


class Bar:
    """A rich progress bar."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[spoken]}"),
            _Eta(),
            TextColumn("[dim]{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("…", total=None, spoken="", note="", eta=None)

    def __enter__(self) -> Bar:
        self._progress.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def update(self, job: Job, note: str) -> None:
        self._progress.update(
            self._task,
            description=str(job.state),
            total=job.estimated_s,
            completed=seconds_of(job.audio_samples),
            spoken=_spoken(job),
            note=escape(note),  # "[/dev/nvidia0]" is no markup
            eta=job.eta_s,
        )


class _Eta(ProgressColumn):
    def render(self, task: Task) -> Text:
        eta_s = task.fields["eta"]
        return Text("" if eta_s is None else f"{format_duration(eta_s)} left", style="cyan")


def _spoken(job: Job) -> str:
    text = f"{format_duration(seconds_of(job.audio_samples))} of {format_duration(job.estimated_s)}"
    return f"{text}, {job.rate:.0f}×" if job.rate else text


def show_for(*, quiet: bool) -> Show:
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()


def follow(look: Callable[[], Job], show: Show, note: Callable[[], str]) -> Job:
    """Look until the job has ended or is paused; ``note`` tells what it waits for."""
    with show:
        while True:
            job = look()
            waits_for = job.reason or "" if job.state in (State.QUEUED, State.RUNNING) or _is_cooling(job) else ""
            show.update(job, (note() if job.state is State.QUEUED else "") or waits_for)
            if job.state in ENDED or (job.state is State.PAUSED and not _is_cooling(job)):
                return job
            time.sleep(LOOK_S)


def _is_cooling(job: Job) -> bool:
    """Its host goes on with it by itself."""
    return job.state is State.PAUSED and (job.reason or "").startswith(HEAT_REASON)
