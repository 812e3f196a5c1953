"""Rows to records and back. The only place that knows the JSON inside the columns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from longtake.core.records import Line, Mark, Passage
from longtake.core.units import seconds_of
from longtake.jobs.records import Event, Job, JobSpec, Kind, PlannedPassage, SpokenPassage, Stretch, WorkerRow
from longtake.jobs.states import State


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def spec_to_json(spec: JobSpec) -> str:
    return to_json(asdict(spec))


def spec_from_json(text: str) -> JobSpec:
    fields = json.loads(text)
    for name in ("voices", "labels"):  # JSON has no integer keys
        fields[name] = {int(speaker): value for speaker, value in fields[name].items()}
    return JobSpec(**fields)


def check_job_row(row: sqlite3.Row) -> None:
    """Read those columns of a job that SQLite cannot judge.

    Raises:
        ROW_ERRORS: One of them makes no sense.
    """
    Kind(row["kind"]), State(row["state"])
    spec_from_json(row["spec"])
    for text in (row["error"] or "{}", row["out_subtitles"]):
        json.loads(text)


def check_passage_row(row: sqlite3.Row) -> None:
    """As `check_job_row`, of a passage."""
    passage_from_row(row)
    _marks(row["marks"])


def job_from_row(row: sqlite3.Row) -> Job:
    audio_s = seconds_of(row["audio_samples"])
    rate = None
    if row["progress_mono"] is not None:
        spoken_s = seconds_of(row["audio_samples"] - row["claimed_samples"])
        elapsed_s = row["progress_mono"] - row["claimed_mono"]
        rate = spoken_s / elapsed_s if elapsed_s > 0 and spoken_s > 0 else None
    return Job(
        id=row["id"],
        number=row["number"],
        kind=Kind(row["kind"]),
        state=State(row["state"]),
        reason=row["reason"],
        error=json.loads(row["error"]) if row["error"] else None,
        spec=spec_from_json(row["spec"]),
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        passages_total=row["passages_total"],
        passages_done=row["passages_done"],
        audio_samples=row["audio_samples"],
        estimated_s=audio_s + row["remaining_s"],
        remaining_s=row["remaining_s"],
        rate=rate,
        audio_file=row["audio_file"],
        audio_bytes=row["audio_bytes"],
        token=row["token"],
        crashes=row["crashes"],
        out_path=row["out_path"],
        out_subtitles=tuple(json.loads(row["out_subtitles"])),
        delivered_at=row["delivered_at"],
        earlier_of=row["earlier_of"],
        cut_token=row["cut_token"],
    )


def planned_to_row(job_id: str, planned: PlannedPassage) -> dict[str, Any]:
    passage = planned.passage
    return {
        "job_id": job_id,
        "position": passage.index,
        "lines": to_json([[line.speaker, line.text, line.language] for line in passage.lines]),
        "silence_before_s": passage.silence_before_s,
        "language": planned.language,
        "units": planned.units,
        "estimated_s": planned.estimated_s,
    }


def passage_from_row(row: sqlite3.Row) -> Passage:
    lines = tuple(Line(speaker, text, language) for speaker, text, language in json.loads(row["lines"]))
    return Passage(row["position"], lines, row["silence_before_s"])


def spoken_from_rows(passages: Iterable[sqlite3.Row], stretches: Iterable[sqlite3.Row]) -> dict[int, SpokenPassage]:
    """Passage index → what was committed of it; passages without a stretch are left out."""
    by_passage: dict[int, list[sqlite3.Row]] = {}
    for row in stretches:
        by_passage.setdefault(row["position"], []).append(row)
    return {
        row["position"]: _spoken(row, by_passage[row["position"]]) for row in passages if row["position"] in by_passage
    }


def _spoken(passage: sqlite3.Row, rows: list[sqlite3.Row]) -> SpokenPassage:
    marks = _marks(passage["marks"])
    is_whole = bool(passage["is_spoken"])
    stretches = []
    for row in rows:
        is_last = is_whole and row is rows[-1]
        stretches.append(
            Stretch(
                index=row["position"],
                file=row["file"],
                sha256=row["sha256"],
                samples=row["samples"],
                marks=marks if is_last else (),
                number=row["number"],
                is_last=is_last,
                trace_bytes=row["trace_bytes"],
            )
        )
    expected_s = max(0.0, passage["estimated_s"] - passage["silence_before_s"])
    return SpokenPassage(passage["position"], tuple(stretches), is_whole, marks, expected_s)


def _marks(text: str | None) -> tuple[Mark, ...]:
    return tuple(Mark(*mark) for mark in json.loads(text)) if text else ()


def stretch_to_row(job_id: str, stretch: Stretch) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "position": stretch.index,
        "number": stretch.number,
        "file": stretch.file,
        "sha256": stretch.sha256,
        "samples": stretch.samples,
        "trace_bytes": stretch.trace_bytes,
    }


def marks_to_json(marks: Iterable[Mark]) -> str:
    return to_json([[round(m.start_s, 4), round(m.end_s, 4), m.text, m.speaker] for m in marks])


def event_from_row(row: sqlite3.Row) -> Event:
    return Event(row["job_id"], row["number"], row["at"], row["kind"], json.loads(row["data"]))


def worker_from_row(row: sqlite3.Row) -> WorkerRow:
    return WorkerRow(
        id=row["id"],
        engine=row["engine"],
        pid=row["pid"],
        boot_id=row["boot_id"],
        state=row["state"],
        steps=row["steps"],
        active=row["active"],
        beat_monotonic_s=row["beat_mono"],
        held=row["held"],
        committed_monotonic_s=row["committed_mono"],
        cache_hits=row["cache_hits"],
        cache_misses=row["cache_misses"],
        budget_bytes=row["budget_bytes"],
    )
