"""What to do about it: rules, each from a report to what it finds, with the evidence. Pure.

A rule stays quiet where its evidence is missing. docs/report.md has a row for each; a test keeps it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from longtake.report.records import Advice, Cause, Report, Severity
from longtake.report.speed import SLOW

LONG_WAIT_S = 600.0
IDLE_RATIO = 0.5
FEW_HOURS = 10.0
FEW_DAYS = 3.0
HOT_CELSIUS = 87.0
THROTTLED_S = 60.0
CAPPED_SHARE = 0.25  # of the time that is known
FULL_RATIO = 0.95
OFTEN = 3
STUCK_S = 3600.0

Rule = Callable[[Report], Iterator[Advice]]


def advise(report: Report) -> tuple[Advice, ...]:
    """Everything that the rules find, the worst first."""
    order = list(Severity)
    found = [each for rule in RULES.values() for each in rule(report)]
    return tuple(sorted(found, key=lambda each: order.index(each.severity)))


def _interrupted(report: Report, cause: Cause) -> Iterator[dict[str, float | str]]:
    return ({"count": each.count, "job": each.job_id} for each in report.interruptions if each.cause is cause)


def workers_died(report: Report) -> Iterator[Advice]:
    for cause in (Cause.WORKER_DIED, Cause.WORKER_SILENT):
        for facts in _interrupted(report, cause):
            yield Advice(str(cause), Severity.BAD, facts)


def crashes(report: Report) -> Iterator[Advice]:
    """Of a worker that died while it spoke, `workers_died` tells, if it was not for memory."""
    for death in report.deaths:
        facts: dict[str, float | str] = {"process": death.process, "latest_at": death.at_s}
        if death.for_memory:
            yield Advice("killed_for_memory", Severity.BAD, facts | {"count": death.for_memory})
        elif not death.process.startswith("worker"):
            yield Advice("crashed", Severity.BAD, facts | {"count": death.count})


def out_of_memory(report: Report) -> Iterator[Advice]:
    for facts in _interrupted(report, Cause.OUT_OF_MEMORY):
        yield Advice("out_of_memory", Severity.WARNING, facts)


def memory_taken(report: Report) -> Iterator[Advice]:
    for facts in _interrupted(report, Cause.MEMORY_TAKEN):
        yield Advice("memory_taken", Severity.WARNING, facts)


def disk_full(report: Report) -> Iterator[Advice]:
    for facts in _interrupted(report, Cause.DISK_FULL):
        yield Advice("disk_full", Severity.BAD, facts)


def disk_low(report: Report) -> Iterator[Advice]:
    disk = report.disk
    if disk.hours < FEW_HOURS or (disk.days is not None and disk.days < FEW_DAYS):
        facts: dict[str, float | str] = {"free_bytes": disk.free_bytes, "hours": disk.hours}
        severity = Severity.BAD if disk.hours < FEW_HOURS / 10 else Severity.WARNING
        if disk.days is not None:
            yield Advice("disk_low_days", severity, facts | {"days": disk.days})
        else:
            yield Advice("disk_low", severity, facts)


def slow(report: Report) -> Iterator[Advice]:
    throttled_s = max((card.throttled_s for card in report.cards), default=0.0)
    for speed in report.speeds:
        if speed.share is not None and speed.share < SLOW:
            facts: dict[str, float | str] = {
                "engine": speed.engine,
                "share_ratio": speed.share,
                "rtf": speed.rtf,
                "usual_rtf": speed.usual_rtf or 0.0,
                "since_at": report.since_s if speed.slow_since_s is None else speed.slow_since_s,
            }
            if throttled_s >= THROTTLED_S:
                yield Advice("slow_throttled", Severity.WARNING, facts | {"throttled_s": throttled_s})
            else:
                yield Advice("slow", Severity.WARNING, facts)


def queue_waits(report: Report) -> Iterator[Advice]:
    """Jobs wait long, and the device that speaks them has time: the busiest card, or the processor without cards."""
    wait_s, max_jobs = report.load.wait_p95_s, report.setup.max_jobs
    if wait_s is None or wait_s < LONG_WAIT_S:
        return
    ratios = [card.utilisation_ratio for card in report.cards if card.utilisation_ratio is not None]
    device, busy = ("GPU", max(ratios)) if ratios else ("CPU", report.cpu_ratio)
    if busy is None:
        return
    facts: dict[str, float | str] = {
        "wait_s": wait_s,
        "device": device,
        "busy_ratio": busy,
        "max_jobs": max_jobs,
    }
    if busy < IDLE_RATIO:
        yield Advice("queue_idle", Severity.WARNING, facts)
    else:
        yield Advice("queue_busy", Severity.HINT, facts)


def stuck(report: Report) -> Iterator[Advice]:
    load = report.load
    if load.waiting and not load.running and (load.oldest_wait_s or 0.0) >= STUCK_S:
        yield Advice("stuck", Severity.BAD, {"count": load.waiting, "wait_s": load.oldest_wait_s or 0.0})


def failures(report: Report) -> Iterator[Advice]:
    for failure in report.failures:
        if failure.count >= OFTEN:
            yield Advice(
                "failures", Severity.BAD, {"count": failure.count, "code": failure.code, "job": failure.job_id}
            )


def heat(report: Report) -> Iterator[Advice]:
    for card in report.cards:
        celsius = card.highest_celsius
        if card.throttled_s >= THROTTLED_S or (celsius is not None and celsius >= HOT_CELSIUS):
            facts: dict[str, float | str] = {"card": card.index, "throttled_s": card.throttled_s}
            if celsius is None:
                yield Advice("throttled", Severity.WARNING, facts)
            else:
                yield Advice("hot", Severity.WARNING, facts | {"celsius": celsius})


def capped(report: Report) -> Iterator[Advice]:
    for card in report.cards:
        if report.known_s and card.capped_s / report.known_s >= CAPPED_SHARE:
            yield Advice("capped", Severity.HINT, {"card": card.index, "capped_s": card.capped_s})


def card_errors(report: Report) -> Iterator[Advice]:
    for card in report.cards:
        if card.lost_s:
            yield Advice("card_lost", Severity.BAD, {"card": card.index, "lost_s": card.lost_s})
        elif card.xids:
            yield Advice("xids", Severity.BAD, {"card": card.index, "count": card.xids})


def memory_full(report: Report) -> Iterator[Advice]:
    """The machine's or the container's; a card may be full, since its worker takes what it is given."""
    for memory in report.memory:
        limit = memory.limit_bytes
        if memory.what in ("host", "cgroup") and limit and memory.highest_bytes / limit >= FULL_RATIO:
            facts: dict[str, float | str] = {"highest_bytes": memory.highest_bytes, "limit_bytes": limit}
            yield Advice(f"memory_full_{memory.what}", Severity.WARNING, facts)


def idle_card(report: Report) -> Iterator[Advice]:
    if report.cards and report.setup.engines == ("espeak",):
        yield Advice("idle_card", Severity.HINT, {"count": len(report.cards)})


def unwatched(report: Report) -> Iterator[Advice]:
    """Something was spoken, and nobody watched the machine: what the rules say is half of the truth."""
    if not report.known_s and report.load.ended:
        yield Advice("unwatched", Severity.HINT, {"count": sum(report.load.ended.values())})


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        workers_died,
        crashes,
        out_of_memory,
        memory_taken,
        disk_full,
        disk_low,
        slow,
        queue_waits,
        stuck,
        failures,
        heat,
        capped,
        card_errors,
        memory_full,
        idle_card,
        unwatched,
    )
}
