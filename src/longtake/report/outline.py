"""What a report says, in order, in one language: headings, lines, tables. Knows neither Markdown nor HTML.

Texts are plain, but for what stands between backticks: that is code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from longtake.core.units import format_bytes
from longtake.report.records import Advice, Measured, Report
from longtake.report.words import Words


@dataclass(frozen=True, slots=True)
class Table:
    """Every row is as long as the head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class AdviceText:
    """Advice in words; ``severity`` is the name of one, for those who colour it."""

    severity: str
    label: str
    found: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Section:
    """
    Attributes:
        name: Key of the heading, for those who put a picture into it.
    """

    name: str
    heading: str
    lines: tuple[str, ...] = ()
    table: Table | None = None
    advice: tuple[AdviceText, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    title: str
    window: str
    made_by: str
    sections: tuple[Section, ...]


def to_outline(report: Report, words: Words) -> Outline:
    """The report in words."""
    since, until = words.time(report.since_s), words.time(report.until_s)
    length = words.duration(report.until_s - report.since_s)
    parts = (_advice, _load, _speed, _memory, _cards, _failures, _slowest, _disk)
    return Outline(
        title=words.say("title"),
        window=words.say("window", since=since, until=until, length=length),
        made_by=words.say("made_by", version=report.version),
        sections=tuple(part(report, words) for part in parts),
    )


def advice_of(advice: Advice, words: Words) -> AdviceText:
    return AdviceText(advice.severity, words.say(advice.severity), words.found(advice), words.remedy(advice))


def _advice(report: Report, words: Words) -> Section:
    found = tuple(advice_of(advice, words) for advice in report.advice)
    lines = () if found else (words.say("no_advice"),)
    return Section("advice", words.say("advice"), lines, advice=found)


def _load(report: Report, words: Words) -> Section:
    load = report.load
    rows = [
        ("accepted", f"{load.accepted:,}"),
        *((state, f"{load.ended.get(state, 0):,}") for state in ("done", "failed", "cancelled")),
        ("running", f"{load.running:,}"),
        ("waiting", f"{load.waiting:,}"),
    ]
    told = [(words.say(key), value) for key, value in rows]
    told += [
        (words.say("audio_of", engine=words.name(engine)), words.duration(audio_s))
        for engine, audio_s in load.audio_s.items()
    ]
    told += [
        (words.say(key), words.duration(wait_s))
        for key, wait_s in (
            ("wait_p50", load.wait_p50_s),
            ("wait_p95", load.wait_p95_s),
            ("oldest_wait", load.oldest_wait_s),
        )
        if wait_s is not None
    ]
    if report.cpu_ratio is not None:
        told.append((words.say("cpu"), words.percent(report.cpu_ratio)))
    lines = [words.say("is_cut")] if load.is_cut else []
    return _section("load", words, ("figure", "value"), told, lines=[*lines, words.say("deleted")])


def _speed(report: Report, words: Words) -> Section:
    rows = [
        (
            words.name(speed.engine),
            words.ratio(speed.rtf),
            f"{words.ratio(1 / speed.rtf)} ×" if speed.rtf else "–",
            "–" if speed.usual_rtf is None else words.ratio(speed.usual_rtf),
            "–" if speed.share is None else words.percent(speed.share),
            words.say("by_engine" if speed.measured is Measured.BY_ENGINE else "by_jobs"),
        )
        for speed in report.speeds
    ]
    head = ("engine", "rtf", "times", "usual_rtf", "share", "measured")
    return _section("speed", words, head, rows, lines=[words.say("rtf_is")], without="no_speed")


def _memory(report: Report, words: Words) -> Section:
    rows = [
        (
            words.place(memory.what),
            format_bytes(round(memory.mean_bytes)),
            format_bytes(round(memory.highest_bytes)),
            "–" if memory.limit_bytes is None else format_bytes(round(memory.limit_bytes)),
        )
        for memory in report.memory
    ]
    lines = [words.say("known", known=words.duration(report.known_s))] if rows else []
    budgets = [
        words.say("budget", engine=words.name(engine), bytes=format_bytes(count))
        for engine, count in report.budgets.items()
    ]
    return _section("memory", words, ("what", "mean", "highest", "of"), rows, lines, "no_memory", budgets)


def _cards(report: Report, words: Words) -> Section:
    rows = [
        (
            str(card.index),
            "–" if card.highest_celsius is None else f"{card.highest_celsius:.0f} °C",
            "–" if card.utilisation_ratio is None else words.percent(card.utilisation_ratio),
            "–" if card.highest_watts is None else f"{card.highest_watts:.0f} W",
            *(words.duration(each) if each else "–" for each in (card.throttled_s, card.capped_s)),
            str(card.xids),
            words.duration(card.lost_s) if card.lost_s else "–",
        )
        for card in report.cards
    ]
    head = ("card", "celsius", "busy", "watts", "throttled", "capped", "xids", "lost")
    return _section("cards", words, head, rows, without="no_cards")


def _failures(report: Report, words: Words) -> Section:
    rows = [
        (
            words.say("failed_with", code=words.name(each.code)),
            str(each.count),
            f"`{words.name(each.job_id)}`",
            words.time(each.at_s),
        )
        for each in report.failures
    ]
    rows += [
        (
            words.say("interrupted_by", cause=words.say(each.cause)),
            str(each.count),
            f"`{words.name(each.job_id)}`",
            words.time(each.at_s),
        )
        for each in report.interruptions
    ]
    rows += [
        (words.say("died", process=words.name(each.process)), str(each.count), "–", words.time(each.at_s))
        for each in report.deaths
    ]
    return _section("failures", words, ("cause", "count", "latest", "at"), rows, without="no_failures")


def _slowest(report: Report, words: Words) -> Section:
    rows = [
        (
            f"`{words.name(job.id)}`",
            words.name(job.engine),
            words.duration(job.audio_s),
            words.duration(job.took_s),
            words.ratio(job.rtf),
            str(job.interruptions),
        )
        for job in report.slowest
    ]
    head = ("job", "engine", "audio", "took", "rtf", "interruptions")
    return _section("slowest", words, head, rows, without="no_slowest")


def _disk(report: Report, words: Words) -> Section:
    disk = report.disk
    rows = [
        (words.say("free"), format_bytes(disk.free_bytes)),
        (words.say("hours"), words.duration(disk.hours * 3600)),
    ]
    if disk.days is not None:
        rows.append((words.say("days"), words.duration(disk.days * 86_400)))
    return _section("disk", words, ("figure", "value"), rows)


def _section(
    name: str,
    words: Words,
    head: Iterable[str],
    rows: Sequence[tuple[str, ...]],
    lines: Iterable[str] = (),
    without: str | None = None,
    always: Iterable[str] = (),
) -> Section:
    """
    Args:
        lines: Said beside the table, and not without one.
        without: Key of what is said instead of an empty table.
        always: Said with and without a table.
    """
    if not rows and without is not None:
        return Section(name, words.say(name), (words.say(without), *always))
    table = Table(tuple(words.say(key) for key in head), tuple(rows))
    return Section(name, words.say(name), (*lines, *always), table)


def pieces(text: str) -> Iterator[tuple[bool, str]]:
    """The text cut at its backticks; each piece with whether it is code."""
    for index, piece in enumerate(text.split("`")):
        if piece:
            yield index % 2 == 1, piece
