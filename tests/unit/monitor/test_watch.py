from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from longtake.core.clock import SystemClock
from longtake.monitor import Samples, Watch
from longtake.monitor.watch import Sight
from tests.unit.monitor.sources import sources, tell


def test_a_source_that_hangs_holds_up_nobody_who_asks(tmp_path: Path) -> None:
    """What was seen before is there at once, and grows old visibly."""
    gate, reached = threading.Event(), threading.Event()
    looks = 0

    def wal_bytes() -> int:
        nonlocal looks
        looks += 1
        if looks > 1:
            reached.set()
            gate.wait(20)
        return looks

    watch = Watch(sources(tmp_path, SystemClock(), wal_bytes=wal_bytes))
    watch.start()
    try:
        assert reached.wait(10)
        began_s = time.monotonic()
        sight = watch.latest()
        assert time.monotonic() - began_s < 0.1
        assert sight.samples["longtake_store_wal_bytes"] == {(): 1}
    finally:
        gate.set()
        watch.stop()


def test_a_source_that_fails_takes_nothing_else_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Samples:
        raise OSError("the driver is gone")

    watch = Watch(sources(tmp_path, more=(broken, lambda: {"longtake_host_load": {(): 3.0}})))
    watch.look()
    watch.look()
    samples = watch.latest().samples
    assert samples["longtake_host_load"] == {(): 3.0}
    assert samples["longtake_queue_jobs"] == {(): 2}
    assert [record.getMessage() for record in caplog.records] == ["no figures of the source 0: the driver is gone"]


def test_a_listener_that_fails_takes_no_other_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A page that cannot be written costs no curve."""

    def broken(sight: Sight) -> None:
        raise KeyError("longtake_unknown")

    watch = Watch(sources(tmp_path))
    seen: list[Sight] = []
    watch.on_sight(broken)
    watch.on_sight(seen.append)
    watch.look()
    watch.look()
    assert len(seen) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "what was seen is lost on listener 0: 'longtake_unknown'"
    ]


def test_the_cache_is_not_counted_file_by_file_every_second(tmp_path: Path) -> None:
    asked = 0

    def cache_bytes() -> int:
        nonlocal asked
        asked += 1
        return asked

    watch = Watch(sources(tmp_path, cache_bytes=cache_bytes))
    for _ in range(15):
        watch.look()
    assert asked == 1
    watch.look()
    assert asked == 2


def test_an_engine_that_has_no_tokens_shows_none(tmp_path: Path) -> None:
    watch = Watch(sources(tmp_path))
    told = tell(tmp_path, sources(tmp_path).clock)
    assert told.counts.tokens is not None
    assert "longtake_engine_tokens_total" in watch.latest().samples
    bare = Watch(sources(tmp_path, workers=list))
    assert "longtake_engine_tokens_total" not in bare.latest().samples


def test_every_look_is_told(tmp_path: Path) -> None:
    watch = Watch(sources(tmp_path))
    seen: list[float] = []
    watch.on_sight(lambda sight: seen.append(sight.seen_s))
    watch.look()
    watch.look()
    assert len(seen) == 2
