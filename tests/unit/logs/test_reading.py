"""The log of several writers, read as one: backwards in pages, and onwards from a position."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from longtake.core.errors import InputError
from longtake.logs import Filter, Level, Position, parse_position, process_sources, read_back, read_on, tail_of, to_text
from longtake.logs.lines import LineFile
from longtake.logs.position import Place

LIMIT = 2000  # bytes of a file, so that there are several


def line(number: int, process: str, level: str = "info", **fields: str) -> bytes:
    time = f"2026-01-01T00:00:{number // 1000:02d}.{number % 1000:03d}000Z"
    return json.dumps(
        {"time": time, "level": level, "event": f"event {number}", "process": process, **fields},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


class Log:
    """Two writers whose lines take turns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = {name: LineFile(root / f"{name}.log", limit_bytes=LIMIT, kept=4) for name in ("web", "worker-a")}
        self.written: list[bytes] = []

    def write(self, count: int, **fields: str) -> None:
        for _ in range(count):
            number = len(self.written)
            name = "web" if number % 3 else "worker-a"
            self.written.append(line(number, name, **fields))
            self.files[name].write(self.written[-1] + b"\n")

    def back(self, wanted: Filter | None = None, **how: object) -> list[bytes]:
        """All pages together, the oldest first."""
        lines: list[bytes] = []
        before: Position | None = None
        for _ in range(500):
            how = {"limit": 7} | how
            page = read_back(process_sources(self.root), wanted or Filter(), before=before, **how)  # type: ignore[arg-type]
            assert len(page.lines) <= 7
            lines += page.lines
            if page.older is None:
                return lines[::-1]
            before = parse_position(to_text(page.older), "cursor")
        raise AssertionError("it does not come to an end")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_pages_are_all_lines_in_order_none_twice(log: Log) -> None:
    log.write(60)
    assert len(list(log.root.iterdir())) > 2, "they lie in several files"
    assert log.back() == log.written
    assert log.back(scan_bytes=300) == log.written, "however little is read at once"


def test_a_page_goes_on_where_the_last_one_ended_while_the_log_grows_and_rotates(log: Log) -> None:
    log.write(30)
    page = read_back(process_sources(log.root), Filter(), limit=10)
    log.write(20)
    assert page.older is not None
    more = read_back(process_sources(log.root), Filter(), limit=100, before=page.older)
    assert [*page.lines, *more.lines][::-1] == log.written[:30]


def test_filters(log: Log) -> None:
    log.write(10)
    log.write(1, job="job_1", text='he said "no", ÄÖÜ')
    log.write(10, job="job_12")
    levelled = [*log.written]
    for level in Level:
        levelled.append(line(len(levelled), "web", level))
        log.files["web"].write(levelled[-1] + b"\n")
    assert log.back(Filter(job="job_1")) == [levelled[10]]
    assert log.back(Filter(job="job_1", text="äöü")) == [levelled[10]]
    assert log.back(Filter(text='SAID "no"')) == [levelled[10]]
    assert log.back(Filter(job='x","event":"')) == []
    assert [json.loads(each)["level"] for each in log.back(Filter(Level.ERROR))] == ["error", "critical"]
    start_s = 1767225600.0
    assert log.back(Filter(since_s=start_s + 0.005, until_s=start_s + 0.008)) == levelled[5:8]
    assert log.back(Filter(since_s=-1e300, until_s=1e300)) == [*levelled[:21], *levelled[21:]]


def test_what_is_no_line_of_ours_is_passed_over(log: Log) -> None:
    log.write(4)
    with (log.root / "web.log").open("ab") as file:
        file.write(b"2026 INFO an older longtake\n\n" + b'{"time":"broken\n' + b"x" * 300_000 + b"\n\xff\xfe\n")
    log.write(4)
    with (log.root / "web.log").open("ab") as file:
        file.write(log.written[0][:40])  # being written just now
    for name in ("web.log.txt", "Web.log", "worker-a.err", "web.log.10"):
        (log.root / name).write_bytes(line(99, "else") + b"\n")
    os.symlink(log.root / "Web.log", log.root / "linked.log")
    assert log.back() == log.written
    assert read_on(process_sources(log.root), {}).lines[-1].raw == log.written[-1]


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    one = line(1, "web", text="y" * 250) + b"\n"
    for age in ("", ".1", ".2", ".3", ".4"):
        with (tmp_path / f"web.log{age}").open("wb") as file:
            for _ in range(40):
                file.write(one * ((10 << 20) // 40 // len(one)))
    tracemalloc.start()
    page = read_back(process_sources(tmp_path), Filter(text="nowhere"), limit=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (page.lines, page.older is None) == ([], False)
    assert peak < 2 << 20


def test_reading_on_gives_every_line_once_through_rotation(log: Log) -> None:
    log.write(5)
    position = tail_of(process_sources(log.root))
    seen: list[bytes] = []
    for count in (0, 1, 3, 12, 2, 9):
        log.write(count)
        batch = read_on(process_sources(log.root), position)
        assert not batch.has_gap
        seen += [found.raw for found in batch.lines]
        position = parse_position(to_text(batch.position), "after")
    assert seen == log.written[5:]


def test_reading_on_to_where_another_reader_is(log: Log) -> None:
    log.write(5)
    behind = tail_of(process_sources(log.root))
    log.write(20)
    ahead = tail_of(process_sources(log.root))
    log.write(25)
    batch = read_on(process_sources(log.root), behind, until=ahead)
    assert [found.raw for found in batch.lines] == log.written[5:25]
    assert batch.position == ahead


def test_too_much_at_once_leaves_a_gap_and_the_newest(log: Log) -> None:
    position = tail_of(process_sources(log.root))
    log.write(10)
    whole = read_on(process_sources(log.root), position)
    assert (whole.has_gap, len(whole.lines)) == (False, 10)
    log.write(40)
    batch = read_on(process_sources(log.root), whole.position, limit_bytes=500)
    assert batch.has_gap
    assert batch.lines[-1].raw == log.written[-1]
    assert read_on(process_sources(log.root), batch.position).lines == []
    log.write(400)
    assert read_on(process_sources(log.root), whole.position).has_gap, "the files of that position are deleted"


@pytest.mark.parametrize("text", ["", "web", "web:1", "web:1.2,", "../x:1.2", "web:-1.2", "web:1.2;", "x" * 5000])
def test_a_position_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match=r"cursor is .* must be a position"):
        parse_position(text, "cursor")


def test_a_position_opens_no_file_by_name(log: Log, tmp_path: Path) -> None:
    log.write(3)
    secret = tmp_path / "secret"
    secret.write_bytes(line(7, "secret") + b"\n")
    place = Place(20260101000000007000, 1000)
    page = read_back(process_sources(log.root), Filter(), limit=9, before={"secret": place, "web": place})
    assert page.lines == []
