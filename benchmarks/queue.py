"""A job store with many rows: how long submitting, claiming, looking and listing take, empty and full. No worker.

Half of the rows are queued, half have ended. What counts is the ratio of full to empty: what a caller and a worker wait
for may not grow with the rows; a sum over the whole queue does, and is read from an index alone. The last line is JSON;
exit code 1 when the claim or the submit has become more than twice as slow.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from longtake.core.records import Line, Passage
from longtake.jobs.database import Database
from longtake.jobs.desk import WorkerDesk
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import JobSpec, PlannedPassage, QueueLimits
from longtake.jobs.store import JobStore

ENGINE = "espeak"
MOST_SLOWER = 2.0
ROOM = QueueLimits(max_jobs=1_000_000, max_audio_s=1e12)


def submit(store: JobStore) -> str:
    spec = JobSpec(
        engine=ENGINE,
        model=ENGINE,
        title="One of many",
        voices={1: "en-gb"},
        labels={1: "Speaker 1"},
        response_format="mp3",
        seed=1,
        settings={},
    )
    passages = [
        PlannedPassage(Passage(index, (Line(1, f"This is sentence {index + 1}.", "en"),), 0.4), "en", 4, 1.5)
        for index in range(5)
    ]
    return store.submit(spec, "One of many.", passages)[0].id


def times_ms(work: Callable[[], object], count: int) -> dict[str, float]:
    """Median and 95th percentile of so many calls, by the clock."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    taken.sort()
    return {"p50_ms": round(statistics.median(taken), 3), "p95_ms": round(taken[int(0.95 * (len(taken) - 1))], 3)}


def measure(store: JobStore, desk: WorkerDesk, count: int) -> dict[str, dict[str, float]]:
    """Of each kind so many calls. As many jobs are claimed as are submitted, and ended when all is measured."""
    ids: list[str] = []
    held: list[str] = []

    def claim() -> None:
        found = desk.claim()
        assert found is not None, "as many as were submitted"
        held.append(found.job.id)

    figures = {
        "submit": times_ms(lambda: ids.append(submit(store)), count),
        "claim": times_ms(claim, count),
        "job": times_ms(lambda: store.job(ids[-1]), count),
        "place in queue": times_ms(lambda: store.place_in_queue(ids[-1]), count),
        "first page": times_ms(lambda: store.jobs(limit=50), count),
        "load and counts, as /metrics": times_ms(lambda: (store.queue_load(), store.counts()), count),
    }
    store.release_worker(desk.worker_id, crashed=None)
    for job_id in held:
        store.cancel(job_id)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=200, help="calls of each kind")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = DataFolder(Path(place), floor_bytes=0)
        db = Database(folder.database)
        store, desk = JobStore(db, limits=ROOM), WorkerDesk(db, "w1", ENGINE, 1)
        measure(store, desk, 20)  # warms up
        empty = measure(store, desk, arguments.count)
        for number in range(arguments.rows):
            job_id = submit(store)
            if number % 2:
                store.cancel(job_id)
        full = measure(store, desk, arguments.count)
        db.close()
    print(f"{'':30} {'empty':>16} {arguments.rows:>9,} rows   (median / 95th percentile, ms)")
    for name, then in empty.items():
        now = full[name]
        print(f"{name:30} {then['p50_ms']:7.2f} {then['p95_ms']:8.2f} {now['p50_ms']:7.2f} {now['p95_ms']:8.2f}")
    slower = {name: round(full[name]["p50_ms"] / then["p50_ms"], 2) for name, then in empty.items()}
    is_good = max(slower["submit"], slower["claim"]) <= MOST_SLOWER
    told = {"rows": arguments.rows, "empty": empty, "full": full, "times_slower": slower, "is_within_bar": is_good}
    print(json.dumps(told))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
