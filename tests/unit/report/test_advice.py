"""Each rule fires with its evidence, and stays quiet without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from longtake.report.advice import RULES, advise
from longtake.report.phrases import ADVICE
from longtake.report.records import (
    Advice,
    CardHealth,
    Cause,
    Deaths,
    Disk,
    Failure,
    Interruption,
    Load,
    Measured,
    Memory,
    Report,
    Setup,
    Severity,
    Speed,
)
from longtake.report.words import LANGUAGES, Words

GIB = 1 << 30
CALM_CARD = CardHealth(0, 60.0, 0.9, 300.0, 0.0, 0.0, 0, 0.0)
CALM = Report(
    version="1",
    since_s=0.0,
    until_s=86_400.0,
    setup=Setup(("espeak", "vibevoice"), 4),
    load=Load(10, {"done": 10}, {"espeak": 3600.0}, 0, 1, 1.0, 2.0),
    speeds=(Speed("espeak", Measured.BY_JOBS, 0.1, 0.1),),
    interruptions=(),
    failures=(Failure("engine_failed", 2, "job_1", 5.0),),
    deaths=(Deaths("worker-espeak", 1, 7.0, 0),),
    slowest=(),
    disk=Disk(100 * GIB, 310.7, 300.0),
    known_s=86_400.0,
    cpu_ratio=0.3,
    memory=(Memory("host", 4.0 * GIB, 8.0 * GIB, 16.0 * GIB), Memory("gpu:0", 23.5 * GIB, 24.0 * GIB, 24.0 * GIB)),
    cards=(CALM_CARD,),
)
BLIND = replace(CALM, known_s=0.0, cpu_ratio=None, memory=(), cards=())
SLOW = (Speed("vibevoice", Measured.BY_ENGINE, 0.5, 0.3, 40_000.0),)
WAITS = replace(CALM.load, wait_p95_s=2400.0)


def interrupted(cause: Cause) -> tuple[Interruption, ...]:
    return (Interruption(cause, 2, "job_7", 1.0),)


def card(**changes: Any) -> tuple[CardHealth, ...]:
    return (CALM_CARD, replace(CALM_CARD, index=1, **changes))


CASES: list[tuple[dict[str, Any], str, Severity, dict[str, float | str]]] = [
    ({"interruptions": interrupted(Cause.WORKER_DIED)}, "worker_died", Severity.BAD, {"count": 2, "job": "job_7"}),
    ({"interruptions": interrupted(Cause.WORKER_SILENT)}, "worker_silent", Severity.BAD, {"count": 2, "job": "job_7"}),
    (
        {"deaths": (Deaths("web", 2, 60.0, 0),)},
        "crashed",
        Severity.BAD,
        {"process": "web", "latest_at": 60.0, "count": 2},
    ),
    (
        {"deaths": (Deaths("worker-espeak", 3, 60.0, 2),)},
        "killed_for_memory",
        Severity.BAD,
        {"process": "worker-espeak", "latest_at": 60.0, "count": 2},
    ),
    (
        {"interruptions": interrupted(Cause.OUT_OF_MEMORY)},
        "out_of_memory",
        Severity.WARNING,
        {"count": 2, "job": "job_7"},
    ),
    (
        {"interruptions": interrupted(Cause.MEMORY_TAKEN)},
        "memory_taken",
        Severity.WARNING,
        {"count": 2, "job": "job_7"},
    ),
    ({"interruptions": interrupted(Cause.DISK_FULL)}, "disk_full", Severity.BAD, {"count": 2, "job": "job_7"}),
    ({"disk": Disk(GIB, 3.1, None)}, "disk_low", Severity.WARNING, {"free_bytes": GIB, "hours": 3.1}),
    ({"disk": Disk(9, 0.9, None)}, "disk_low", Severity.BAD, {"free_bytes": 9, "hours": 0.9}),
    (
        {"disk": Disk(20 * GIB, 60.0, 2.9)},
        "disk_low_days",
        Severity.WARNING,
        {"free_bytes": 20 * GIB, "hours": 60.0, "days": 2.9},
    ),
    (
        {"speeds": SLOW},
        "slow",
        Severity.WARNING,
        {"engine": "vibevoice", "share_ratio": 0.6, "rtf": 0.5, "usual_rtf": 0.3, "since_at": 40_000.0},
    ),
    (
        {"load": WAITS, "cards": card(utilisation_ratio=0.95)},
        "queue_busy",
        Severity.HINT,
        {"wait_s": 2400.0, "device": "GPU", "busy_ratio": 0.95, "max_jobs": 4},
    ),
    (
        {"load": WAITS, "cards": (replace(CALM_CARD, utilisation_ratio=0.3),)},
        "queue_idle",
        Severity.WARNING,
        {"wait_s": 2400.0, "device": "GPU", "busy_ratio": 0.3, "max_jobs": 4},
    ),
    (
        {"load": WAITS, "cards": ()},
        "queue_idle",
        Severity.WARNING,
        {"wait_s": 2400.0, "device": "CPU", "busy_ratio": 0.3, "max_jobs": 4},
    ),
    (
        {"load": replace(CALM.load, waiting=3, running=0, oldest_wait_s=4000.0)},
        "stuck",
        Severity.BAD,
        {"count": 3, "wait_s": 4000.0},
    ),
    (
        {"failures": (Failure("truncated", 3, "job_9", 1.0),)},
        "failures",
        Severity.BAD,
        {"count": 3, "code": "truncated", "job": "job_9"},
    ),
    ({"cards": card(highest_celsius=88.0)}, "hot", Severity.WARNING, {"card": 1, "celsius": 88.0, "throttled_s": 0.0}),
    ({"cards": card(throttled_s=90.0)}, "hot", Severity.WARNING, {"card": 1, "celsius": 60.0, "throttled_s": 90.0}),
    (
        {"cards": card(throttled_s=90.0, highest_celsius=None)},
        "throttled",
        Severity.WARNING,
        {"card": 1, "throttled_s": 90.0},
    ),
    ({"cards": card(capped_s=30_000.0)}, "capped", Severity.HINT, {"card": 1, "capped_s": 30_000.0}),
    ({"cards": card(xids=2)}, "xids", Severity.BAD, {"card": 1, "count": 2}),
    ({"cards": card(xids=2, lost_s=60.0)}, "card_lost", Severity.BAD, {"card": 1, "lost_s": 60.0}),
    (
        {"memory": (Memory("host", GIB, 15.5 * GIB, 16.0 * GIB),)},
        "memory_full_host",
        Severity.WARNING,
        {"highest_bytes": 15.5 * GIB, "limit_bytes": 16.0 * GIB},
    ),
    (
        {"memory": (Memory("cgroup", GIB, 4.0 * GIB, 4.0 * GIB),)},
        "memory_full_cgroup",
        Severity.WARNING,
        {"highest_bytes": 4.0 * GIB, "limit_bytes": 4.0 * GIB},
    ),
    ({"setup": Setup(("espeak",), 4)}, "idle_card", Severity.HINT, {"count": 1}),
    ({"known_s": 0.0}, "unwatched", Severity.HINT, {"count": 10}),
]


@pytest.mark.parametrize(("changes", "rule", "severity", "facts"), CASES, ids=[case[1] for case in CASES])
def test_a_rule_fires_with_its_evidence(
    changes: dict[str, Any], rule: str, severity: Severity, facts: dict[str, float | str]
) -> None:
    [found] = advise(replace(CALM, **changes))
    assert found == Advice(rule, severity, facts)


def test_slowness_and_heat_are_told_together() -> None:
    found = {each.rule: each for each in advise(replace(CALM, speeds=SLOW, cards=card(throttled_s=720.0)))}
    assert set(found) == {"slow_throttled", "hot"}
    assert found["slow_throttled"].facts["throttled_s"] == 720.0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"interruptions": interrupted(Cause.STUMBLED) + interrupted(Cause.HEAT)},
        {"disk": Disk(20 * GIB, 60.0, 3.1)},
        {"speeds": (Speed("espeak", Measured.BY_JOBS, 0.5, 0.36),)},  # 72 %
        {"speeds": (Speed("espeak", Measured.BY_JOBS, 0.5, None, None),)},
        {"load": replace(CALM.load, wait_p95_s=599.0), "cards": (replace(CALM_CARD, utilisation_ratio=0.1),)},
        {"load": WAITS, "cards": (), "cpu_ratio": None},
        {"load": replace(CALM.load, waiting=3, running=1, oldest_wait_s=4000.0)},
        {"load": replace(CALM.load, waiting=3, running=0, oldest_wait_s=3599.0)},
        {"cards": card(highest_celsius=86.9, throttled_s=59.0, capped_s=21_000.0)},
        {"cards": (), "setup": Setup(("espeak",), 4)},
        {"memory": (Memory("host", GIB, 15.1 * GIB, 16.0 * GIB), Memory("web", GIB, GIB))},
    ],
)
def test_rules_are_quiet_without_evidence(changes: dict[str, Any]) -> None:
    assert advise(replace(CALM, **changes)) == ()


def test_nobody_advises_in_the_dark() -> None:
    """A machine that nothing is known of: no rule reads an absence as a zero."""
    assert [each.rule for each in advise(BLIND)] == ["unwatched"]
    assert advise(replace(BLIND, load=replace(CALM.load, ended={}))) == ()


def test_the_worst_comes_first() -> None:
    report = replace(CALM, setup=Setup(("espeak",), 4), speeds=SLOW, cards=card(xids=1))
    assert [each.severity for each in advise(report)] == [Severity.BAD, Severity.WARNING, Severity.HINT]


def test_every_rule_and_every_text_is_tried() -> None:
    tried = {case[1] for case in CASES} | {"slow_throttled"}
    assert tried == set(ADVICE)
    quiet = [name for name, rule in RULES.items() if not any([*rule(replace(CALM, **case[0]))] for case in CASES)]
    assert quiet == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fact_is_in_the_text(language: str) -> None:
    """`format` refuses a text that wants a fact which the rule has not; here, no evidence is kept back either."""
    words = Words(language)
    for changes, rule, _, facts in CASES:
        [found] = advise(replace(CALM, **changes))
        told = words.found(found) + words.remedy(found)
        for name, value in facts.items():
            assert words._fact(name, value) in told, (rule, name)
