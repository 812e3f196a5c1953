"""Every number of a report is one that was computed by hand from what lies in the data folder."""

from __future__ import annotations

import pytest

from longtake.jobs.records import Cut
from longtake.monitor.heat import HEAT_REASON
from longtake.report import Report, gather
from longtake.report.gather import BYTES_PER_HOUR
from longtake.report.past import rank
from longtake.report.records import Cause, Deaths, Disk, Failure, Interruption, Load, Measured, Speed
from longtake.report.speed import slow_since
from longtake.supervise.crashes import Crash, CrashFolder, crash_id
from longtake.worker.held import DISK_FULL_REASON
from longtake.worker.waits import WAITS_FOR_MEMORY, ran_out
from tests.support.past import DAY_S, GIB, HOUR_S, MINUTE_S, Past


def last_day(past: Past) -> Report:
    return gather(past.sources(), past.now_s - DAY_S, past.now_s)


def test_nothing_is_told_of_nothing(past: Past) -> None:
    past.clock.sleep(DAY_S)
    report = last_day(past)
    assert report.load == Load(accepted=0, ended={}, audio_s={}, waiting=0, running=0)
    assert (report.speeds, report.failures, report.interruptions, report.slowest) == ((), (), (), ())
    assert (report.known_s, report.memory, report.cards, report.curves) == (0.0, (), (), {})
    assert report.disk == Disk(100 * GIB, 100 * GIB / 345_600_000, None)
    assert report.advice == ()
    assert not past.folder.minutes.exists(), "looking makes no file"


def test_load_and_waits(past: Past) -> None:
    past.done(wait_s=5000)  # before the window: it counts for nothing but what is usual
    past.clock.sleep(2 * DAY_S)
    begin_s = past.now_s
    for wait_s in range(1, 21):
        past.done(wait_s=wait_s, audio_s=50)
    past.done(engine="vibevoice", audio_s=600, wait_s=0)
    past.failed("engine_failed")
    past.store.cancel(past.submit().id)
    first = past.submit()
    past.clock.sleep(100)
    past.submit()
    running = past.submit()
    assert past.desk(running).claim() is not None
    past.clock.sleep(30)
    load = gather(past.sources(), begin_s, past.now_s).load
    assert load.accepted == 20 + 1 + 1 + 1 + 3
    assert load.ended == {"done": 21, "failed": 1, "cancelled": 1}
    assert load.audio_s == {"espeak": 1000.0, "vibevoice": 600.0}
    assert (load.waiting, load.running) == (2, 1)
    # 23 jobs were claimed: waits of 0, 0, 0 and 1 to 20 s.
    assert (load.wait_p50_s, load.wait_p95_s) == (9.0, 19.0)
    assert past.store.job(first.id).started_at is None
    assert load.oldest_wait_s == 130.0
    assert not load.is_cut


def test_a_rank_is_a_value_that_was_there() -> None:
    assert rank([], 0.5) is None
    assert rank([7.0], 0.95) == 7.0
    assert [rank(range(1, 101), share) for share in (0.5, 0.95, 1.0)] == [50, 95, 100]


def test_an_earlier_version_is_not_counted_twice(past: Past) -> None:
    job = past.done()
    past.store.cuts.cut(past.store.cuts.take(job.id), Cut(0, 0, None, 0.0, 7), "job_earlier")
    ended = gather(past.sources(), past.now_s - HOUR_S, past.now_s + 1).load
    assert ended.ended == {}
    assert (ended.accepted, ended.waiting) == (1, 1)


def test_failures_by_cause_with_the_latest(past: Past) -> None:
    past.failed("engine_failed")
    past.clock.sleep(1)
    past.failed("truncated")
    past.clock.sleep(1)
    newest = past.failed("engine_failed")
    past.clock.sleep(1)
    [first, second] = last_day(past).failures
    assert first == Failure("engine_failed", 2, newest.id, past.now_s - 1)
    assert (second.code, second.count) == ("truncated", 1)


def test_interruptions_by_cause(past: Past) -> None:
    for reason, cause in (
        (f"{DISK_FULL_REASON}: no room", Cause.DISK_FULL),
        (ran_out("CUDA has no room"), Cause.OUT_OF_MEMORY),
        (f"{WAITS_FOR_MEMORY}: other programs have taken it", Cause.MEMORY_TAKEN),
        (f"{HEAT_REASON}: card 0 has 88 °C", Cause.HEAT),
    ):
        job = past.interrupted(reason)
        past.clock.sleep(1)
        [found] = [each for each in last_day(past).interruptions if each.cause is cause]
        assert found == Interruption(cause, 1, job.id, past.now_s - 1)
    assert len(last_day(past).interruptions) == 4
    past.interrupted("the model was unloaded; it goes on when it is loaded again")
    assert len(last_day(past).interruptions) == 4, "what its owner wanted is none"


def test_deaths_of_workers_are_told_by_those_who_find_them(past: Past) -> None:
    died, silent, stumbled = past.submit(), past.submit(), past.submit()
    assert past.desk(died, "a").claim() is not None
    past.store.release_worker("a", crashed="signal 11")
    claim = past.desk(stumbled, "c").claim()
    assert claim is not None
    past.desk(stumbled, "c").stumble(claim, {"message": "I/O", "type": "x", "param": None, "code": "x"})
    past.store.cancel(died.id)
    past.store.cancel(stumbled.id)
    assert past.desk(silent, "b").claim() is not None
    past.clock.sleep(31)
    assert past.desk(silent, "d").claim() is not None
    found = {each.cause: (each.count, each.job_id) for each in last_day(past).interruptions}
    assert found == {
        Cause.WORKER_DIED: (1, died.id),
        Cause.WORKER_SILENT: (1, silent.id),
        Cause.STUMBLED: (1, stumbled.id),
    }


def test_crashes_by_process(past: Past) -> None:
    kept = CrashFolder(past.folder.crashes)
    for process, ago_s, memory in (
        ("web", 2 * DAY_S, None),
        ("web", 60.0, None),
        ("worker-espeak", 50.0, "no memory was left"),
        ("worker-espeak", 40.0, None),
    ):
        at_s = past.now_s - ago_s
        kept.keep(Crash(crash_id(at_s, process, 7), at_s, process, 7, "killed by signal 9", "0", memory=memory))
    assert last_day(past).deaths == (
        Deaths("web", 1, past.now_s - 60, 0),
        Deaths("worker-espeak", 2, past.now_s - 40, 1),
    )


def test_slowest_jobs(past: Past) -> None:
    jobs = [past.done(took_s=took_s, audio_s=100) for took_s in (10, 70, 30, 50, 20, 60)]
    past.done(took_s=500, audio_s=9.9)  # too short to tell anything
    slowest = last_day(past).slowest
    assert [job.id for job in slowest] == [jobs[number].id for number in (1, 5, 3, 2, 4)]
    assert [job.rtf for job in slowest] == [0.7, 0.6, 0.5, 0.3, 0.2]
    assert (slowest[0].audio_s, slowest[0].took_s, slowest[0].interruptions) == (100.0, 70.0, 0)


def test_speed_by_jobs_against_the_thirty_days_before(past: Past) -> None:
    past.done(took_s=90, audio_s=100)  # 31 days before the window: too long ago
    past.clock.sleep(DAY_S + 100)
    for took_s in (10, 20, 60):
        past.done(took_s=took_s, audio_s=100)
    past.clock.sleep(30 * DAY_S - 400)
    since_s = past.now_s
    past.done(took_s=10, audio_s=100)
    slow_s = past.now_s
    past.done(took_s=40, audio_s=100)
    past.done(took_s=50, audio_s=100)
    [speed] = gather(past.sources(), since_s, past.now_s + 1).speeds
    assert speed == Speed("espeak", Measured.BY_JOBS, 0.4, 0.2, slow_s)
    assert speed.share == pytest.approx(0.5)


def test_slow_since_is_where_the_last_slow_stretch_begins() -> None:
    assert slow_since([(1, 2.0), (2, 1.0), (3, 1.5), (4, 2.0)], 1.0) == 3
    assert slow_since([(1, 2.0), (2, 1.4)], 1.0) is None  # 1 / 1.4 is above 0.7
    assert slow_since([(1, 2.0)], None) is None
    assert slow_since([], 1.0) is None


def test_speed_by_the_engine_goes_before_that_by_jobs(past: Past) -> None:
    past.watch(past.now_s, [{"rtf_ratio:espeak": 0.05}, {}, {"rtf_ratio:espeak": 0.07}])
    past.clock.sleep(2 * DAY_S)
    start_s = past.now_s
    past.watch(start_s, [{"rtf_ratio:espeak": rtf} for rtf in (0.06, 0.12, 0.18)])
    past.done(took_s=180)
    [speed] = gather(past.sources(), start_s, past.now_s).speeds
    assert (speed.engine, speed.measured, speed.slow_since_s) == ("espeak", Measured.BY_ENGINE, start_s + 60)
    assert (speed.rtf, speed.usual_rtf) == (pytest.approx(0.12), pytest.approx(0.06))


def test_machine(past: Past) -> None:
    start_s = past.now_s
    quiet = {
        "cpu_ratio": 0.2,
        "memory_used_bytes": 4.0 * GIB,
        "memory_total_bytes": 16.0 * GIB,
        "swap_used_bytes": 1.0,
        "process_resident_bytes:worker/espeak": 100.0,
        "pool_held_bytes:espeak": 5.0,
        "pool_limit_bytes:espeak": 9.0,
        "gpu_lost:0": 0.0,
        "gpu_xids:0": 2.0,
        "gpu_temperature_celsius:0": 60.0,
        "gpu_utilisation_ratio:0": 0.3,
        "gpu_power_watts:0": 300.0,
        "gpu_memory_used_bytes:0": 8.0 * GIB,
        "gpu_memory_total_bytes:0": 24.0 * GIB,
        "gpu_throttle_thermal_ratio:0": 0.0,
        "gpu_throttle_hardware_thermal_ratio:0": 0.0,
        "gpu_throttle_power_cap_ratio:0": 0.0,
    }
    hot = quiet | {
        "cpu_ratio": 0.6,
        "memory_used_bytes": 8.0 * GIB,
        "gpu_temperature_celsius:0": 90.0,
        "gpu_utilisation_ratio:0": 0.9,
        "gpu_throttle_thermal_ratio:0": 0.5,
        "gpu_throttle_hardware_thermal_ratio:0": 0.25,
        "gpu_throttle_power_cap_ratio:0": 1.0,
        "gpu_xids:0": 3.0,
    }
    lost = {"cpu_ratio": 0.1, "gpu_lost:0": 1.0, "gpu_xids:0": 1.0}  # the server was started anew
    past.watch(start_s, [quiet, hot, quiet | {"gpu_xids:0": 3.0}, lost])
    past.clock.sleep(HOUR_S)
    report = gather(past.sources(), start_s, past.now_s)
    assert report.known_s == 4 * MINUTE_S
    assert report.cpu_ratio == pytest.approx((0.2 + 0.6 + 0.2 + 0.1) / 4)
    memory = {each.what: each for each in report.memory}
    assert set(memory) == {"host", "swap", "gpu:0", "worker/espeak", "pool/espeak"}
    assert memory["host"].mean_bytes == pytest.approx(16 / 3 * GIB)
    assert memory["host"].highest_bytes == pytest.approx(8 * GIB)
    assert memory["host"].limit_bytes == pytest.approx(16 * GIB)
    assert memory["gpu:0"].limit_bytes == pytest.approx(24 * GIB)
    assert (memory["worker/espeak"].mean_bytes, memory["worker/espeak"].highest_bytes) == (100.0, 101.0)
    assert (memory["pool/espeak"].highest_bytes, memory["pool/espeak"].limit_bytes) == (6.0, 10.0)
    [card] = report.cards
    assert (card.index, card.highest_celsius, card.highest_watts) == (0, 91.0, 301.0)
    assert card.utilisation_ratio == pytest.approx(0.5)
    assert (card.throttled_s, card.capped_s, card.lost_s) == (30.0, 60.0, 60.0)
    assert card.xids == 1 + 1  # 2 → 3, and one of the new process
    curve = report.curves["cpu_ratio"]
    assert (curve.step_s, len(curve.mean)) == (60.0, 60)
    first = round((start_s - curve.start_s) / 60)
    assert curve.mean[first : first + 5] == (0.2, 0.6, 0.2, 0.1, None)
    assert report.curves["gpu_throttled_ratio:0"].high[first : first + 5] == (0.0, 0.5, 0.0, None, None)


def test_a_long_curve_has_few_points_and_keeps_its_peak(past: Past) -> None:
    start_s = past.now_s
    past.watch(start_s, [{"cpu_ratio": 1.0 if number == 1000 else 0.5} for number in range(1440)])
    past.clock.sleep(DAY_S)
    curve = last_day(past).curves["cpu_ratio"]
    assert (len(curve.mean), curve.step_s) == (288, 300.0)
    place = int((start_s + 1000 * 60 - curve.start_s) // 300)
    assert curve.high[place] == 1.0
    assert curve.mean[place] == pytest.approx(0.6)
    assert max(value for index, value in enumerate(curve.high) if index != place and value is not None) == 0.5


def test_disk(past: Past) -> None:
    assert BYTES_PER_HOUR == 2 * 3600 * 24_000 * 2
    past.free_bytes = 3 * BYTES_PER_HOUR
    past.done(audio_s=HOUR_S)
    past.clock.sleep(1)
    disk = last_day(past).disk
    assert (disk.free_bytes, disk.hours, disk.days) == (3 * BYTES_PER_HOUR, 3.0, 3.0)
    past.free_bytes = -5
    assert last_day(past).disk == Disk(0, 0.0, 0.0)
