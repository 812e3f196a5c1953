"""What a user sees of a job that is being spoken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from longtake.cli.follow import Bar, Lines, Quiet, follow, show_for
from longtake.jobs.records import Job, Kind
from longtake.jobs.states import State
from tests.support.jobs import spec

JOB = Job(
    id="job_1",
    number=1,
    kind=Kind.JOB,
    state=State.RUNNING,
    reason=None,
    error=None,
    spec=spec(),
    created_at=0.0,
    started_at=None,
    ended_at=None,
    passages_total=100,
    passages_done=0,
    audio_samples=0,
    estimated_s=200.0,
    remaining_s=200.0,
    rate=None,
    audio_file=None,
    audio_bytes=None,
    token=1,
    crashes=0,
    out_path=None,
)


def at(done: int, state: State = State.RUNNING, rate: float | None = None) -> Job:
    return replace(JOB, state=state, passages_done=done, audio_samples=done * 48_000, rate=rate)


class Notes:
    """Writes down what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[State, int, str]] = []
        self.story: list[str] = []

    def __enter__(self) -> Notes:
        self.story.append("enter")
        return self

    def __exit__(self, *exc: object) -> None:
        self.story.append("exit")

    def update(self, job: Job, note: str) -> None:
        self.seen.append((job.state, job.passages_done, note))


def looks(*jobs: Job) -> Callable[[], Job]:
    film: Iterator[Job] = iter(jobs)
    return lambda: next(film)


@pytest.mark.parametrize("end", [State.DONE, State.FAILED, State.CANCELLED, State.PAUSED])
def test_it_looks_until_nothing_more_happens(end: State) -> None:
    notes = Notes()
    seen = [at(0, State.QUEUED), at(1), at(2, State.PAUSING), at(2, end)]
    ended = follow(looks(*seen), notes, lambda: "waiting")
    assert ended is seen[-1]
    assert notes.seen == [
        (State.QUEUED, 0, "waiting"),
        (State.RUNNING, 1, ""),
        (State.PAUSING, 2, ""),
        (end, 2, ""),
    ]
    assert notes.story == ["enter", "exit"]


def test_what_it_waits_for_is_asked_only_while_it_waits() -> None:
    follow(looks(at(1), at(2, State.DONE)), Notes(), lambda: pytest.fail("it was asked"))


def test_a_job_that_waits_for_memory_says_so_whoever_holds_it() -> None:
    notes, reason = Notes(), "waits for memory: needs 1.2 GiB, 0.4 GiB of 6.0 GiB are free; 3 jobs before it"
    held, put_back = replace(at(1), reason=reason), replace(at(1, State.QUEUED), reason=reason)
    follow(looks(held, put_back, replace(at(1), reason=None), at(2, State.DONE)), notes, str)
    assert [note for _, _, note in notes.seen] == [reason, reason, "", ""]


def test_the_screen_is_given_back_when_looking_fails() -> None:
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        follow(_interrupt, notes, str)
    assert notes.story == ["enter", "exit"]


def _interrupt() -> Job:
    raise KeyboardInterrupt


def test_a_log_gets_a_line_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    follow(looks(*[at(done) for done in range(100)], at(100, State.DONE)), Lines(), str)
    out, err = capsys.readouterr()
    assert out == "", "standard output is for results"
    lines = err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        *(f"running {tenth} %" for tenth in range(0, 100, 10)),
        "done 100 %",
    ]
    assert lines[3] == "running 30 %  1:00 of 3:20"


def test_a_log_tells_what_is_waited_for_once(capsys: pytest.CaptureFixture[str]) -> None:
    notes = iter(["loading", "loading", "waiting: it died", "waiting: it died"])
    follow(looks(*[at(0, State.QUEUED)] * 4, at(100, State.DONE)), Lines(), lambda: next(notes))
    assert capsys.readouterr().err.splitlines() == [
        "queued 0 %  0:00 of 3:20  loading",
        "queued 0 %  0:00 of 3:20  waiting: it died",
        "done 100 %  3:20 of 3:20",
    ]


def test_the_rate_is_told_when_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().update(at(50, rate=41.6), "")
    assert capsys.readouterr().err == "running 50 %  1:40 of 3:20, 42×\n"


def test_a_job_without_passages_divides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().update(replace(JOB, passages_total=0), "")
    assert capsys.readouterr().err.startswith("running 0 %")


def test_json_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Quiet() as show:
        show.update(at(1), "waiting")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("quiet", "is_terminal", "kind"),
    [(True, True, Quiet), (True, False, Quiet), (False, True, Bar), (False, False, Lines)],
)
def test_the_show_fits_where_it_is_shown(
    quiet: bool, is_terminal: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    assert type(show_for(quiet=quiet)) is kind


def test_the_bar_tells_place_rate_and_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with Bar() as bar:
        bar.update(replace(at(50, rate=2.0), remaining_s=100.0), "patience")
    out, err = capsys.readouterr()
    assert out == ""
    for told in ("running", "1:40 of 3:20, 2×", "0:50 left", "patience"):
        assert told in err


def test_the_bar_of_a_waiting_job_promises_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar() as bar:
        bar.update(at(0, State.QUEUED), "")
    assert "left" not in capsys.readouterr().err
