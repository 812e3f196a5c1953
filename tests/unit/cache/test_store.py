"""The cache on a real disk: what it keeps, in which order it forgets, and that nothing of it ever raises."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longtake.cache import Entry, PassageCache, Usage
from longtake.cache.entry import entry_to_bytes
from longtake.core.records import Mark

MANY = 1 << 30
SAMPLES = 1000


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def entry(number: int, samples: int = SAMPLES) -> Entry:
    return Entry(np.full(samples, number, np.int16), (Mark(0.0, 1.0, f"word {number:04d}", 1),))


SIZE = len(entry_to_bytes(key(0), entry(0)))


def path(cache: PassageCache, number: int) -> Path:
    return cache.folder / key(number)[:2] / f"{key(number)}.pcm"


def used_at(cache: PassageCache, number: int, seconds: int) -> None:
    """The clock of a disk may tick less often than a test puts."""
    os.utime(path(cache, number), (seconds, seconds))


def held(cache: PassageCache, numbers: int = 100) -> set[int]:
    return {number for number in range(numbers) if path(cache, number).exists()}


@pytest.fixture
def cache(tmp_path: Path) -> PassageCache:
    return PassageCache(tmp_path / "cache", bound_bytes=MANY)


def test_what_was_put_is_found_also_by_another_process(cache: PassageCache) -> None:
    assert cache.get(key(1)) is None
    cache.put(key(1), entry(1))
    for reader in (cache, PassageCache(cache.folder, bound_bytes=MANY)):
        found = reader.get(key(1))
        assert found is not None
        assert found.pcm_T.tolist() == entry(1).pcm_T.tolist()
        assert found.marks == entry(1).marks
        assert reader.get(key(2)) is None


def test_what_is_put_again_is_replaced(cache: PassageCache) -> None:
    cache.put(key(1), entry(1))
    cache.put(key(1), entry(2))
    found = cache.get(key(1))
    assert found is not None
    assert found.pcm_T[0] == 2
    assert cache.usage() == Usage(1, SIZE)


def test_only_its_owner_can_read_it(cache: PassageCache) -> None:
    old = os.umask(0)
    try:
        cache.put(key(1), entry(1))
    finally:
        os.umask(old)
    modes = [each.stat().st_mode & 0o777 for each in (cache.folder, path(cache, 1).parent, path(cache, 1))]
    assert modes == [0o700, 0o700, 0o600]


def test_a_damaged_entry_is_a_miss_and_goes(cache: PassageCache, caplog: pytest.LogCaptureFixture) -> None:
    cache.put(key(1), entry(1))
    path(cache, 1).write_bytes(bytes(SIZE))
    assert cache.get(key(1)) is None
    assert not path(cache, 1).exists()
    assert "damaged" in caplog.text
    cache.put(key(1), entry(1))
    assert cache.get(key(1)) is not None


# The bound


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = PassageCache(tmp_path, bound_bytes=16 * SIZE)
    for number in range(16):
        cache.put(key(number), entry(number))
        used_at(cache, number, 1000 + number)
    assert cache.get(key(0)) is not None  # used just now
    cache.put(key(16), entry(16))
    assert held(cache) == {0, *range(3, 17)}, "one sixteenth is given up, and room is made for the new one"
    cache.put(key(17), entry(17))
    assert held(cache) == {0, *range(3, 18)}, "for a while there is room again"


def test_the_bound_is_never_passed(tmp_path: Path) -> None:
    cache = PassageCache(tmp_path, bound_bytes=20 * SIZE)
    sizes = random.Random(1)
    for number in range(300):
        cache.put(key(number), entry(number, sizes.randrange(3 * SAMPLES)))
        assert cache.usage().used_bytes <= cache.bound_bytes
        assert path(cache, number).exists()
    assert cache.usage().used_bytes > cache.bound_bytes / 2


def test_an_entry_larger_than_the_bound_is_not_kept_and_costs_no_other(tmp_path: Path) -> None:
    cache = PassageCache(tmp_path, bound_bytes=4 * SIZE)
    cache.put(key(1), entry(1))
    cache.put(key(2), entry(2, 5 * SAMPLES))
    assert held(cache) == {1}


def test_what_a_process_before_has_left_counts(tmp_path: Path) -> None:
    for number in range(10):
        PassageCache(tmp_path, bound_bytes=MANY).put(key(number), entry(number))
    smaller = PassageCache(tmp_path, bound_bytes=4 * SIZE)
    smaller.put(key(10), entry(10))
    assert smaller.usage().used_bytes <= 4 * SIZE
    assert 10 in held(smaller)


def test_two_that_share_a_folder_pass_the_bound_by_a_little_at_most(tmp_path: Path) -> None:
    one, two = (PassageCache(tmp_path, bound_bytes=64 * SIZE) for _ in range(2))
    for number in range(300):
        (one, two)[number % 2].put(key(number), entry(number))
        assert one.usage().used_bytes <= (64 + 2 * 5) * SIZE


def test_a_bound_of_nothing_keeps_and_finds_nothing(cache: PassageCache) -> None:
    cache.put(key(1), entry(1))
    off = PassageCache(cache.folder)
    assert off.get(key(1)) is None
    off.put(key(2), entry(2))
    assert held(cache) == {1}


def test_what_a_killed_writer_left_counts_and_goes_in_its_turn(cache: PassageCache) -> None:
    cache.put(key(1), entry(1))
    left = path(cache, 1).with_name("half-written.tmp")
    left.write_bytes(b"x" * 100)
    os.utime(left, (1, 1))
    assert cache.usage() == Usage(2, SIZE + 100)
    cache.give_back(1)
    assert not left.exists()
    assert held(cache) == {1}


# The disk


def test_room_is_given_back_no_more_than_needed_the_oldest_first(cache: PassageCache) -> None:
    for number in range(10):
        cache.put(key(number), entry(number))
        used_at(cache, number, 1000 - number)
    cache.give_back(2 * SIZE + 1)
    assert held(cache) == set(range(7))
    cache.give_back(MANY)
    assert cache.usage() == Usage(0, 0)
    cache.give_back(1)
    cache.put(key(1), entry(1))
    assert held(cache) == {1}


def test_clearing_tells_what_there_was(cache: PassageCache) -> None:
    assert cache.clear() == Usage(0, 0), "there is not even a folder"
    for number in range(3):
        cache.put(key(number), entry(number))
    assert cache.clear() == Usage(3, 3 * SIZE)
    assert cache.usage() == Usage(0, 0)


def test_a_disk_without_room_to_spare_is_left_alone(tmp_path: Path) -> None:
    asked: list[int] = []

    def has_room(size_bytes: int) -> bool:
        asked.append(size_bytes)
        return False

    PassageCache(tmp_path / "cache", bound_bytes=MANY, has_room=has_room).put(key(1), entry(1))
    assert not (tmp_path / "cache").exists()
    assert asked == [SIZE]


def test_a_full_disk_is_told_once_and_leaves_no_half(
    cache: PassageCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(key(0), entry(0))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context, caplog.at_level(logging.WARNING):
        context.setattr("longtake.cache.store.os.replace", full)
        for number in range(1, 5):
            cache.put(key(number), entry(number))
    assert cache.usage() == Usage(1, SIZE)
    assert len(caplog.records) == 1
    assert "No space left" in caplog.text
    cache.put(key(1), entry(1))
    assert held(cache) == {0, 1}, "once there is room again, it goes on"


def test_a_folder_that_is_none_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = PassageCache(tmp_path / "cache", bound_bytes=MANY)
    cache.put(key(1), entry(1))
    assert cache.get(key(1)) is None
    cache.give_back(1)
    assert (cache.usage(), cache.clear()) == (Usage(0, 0), Usage(0, 0))
    assert len(caplog.records) == 1
    assert (tmp_path / "cache").read_text() == "a file"


def test_writers_readers_and_a_hand_that_clears_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each with a cache of its own, as processes have: whatever is found is right."""
    wrong: list[str] = []
    found = [0]

    def work(seed: int) -> None:
        cache = PassageCache(tmp_path, bound_bytes=12 * SIZE)
        dice = random.Random(seed)
        for _ in range(300):
            number = dice.randrange(20)
            try:
                if (kept := cache.get(key(number))) is None:
                    cache.put(key(number), entry(number))
                elif kept.pcm_T.tolist() != [number] * SAMPLES or kept.marks != entry(number).marks:
                    wrong.append(f"{number} was found as {kept.pcm_T[0]}")
                else:
                    found[0] += 1
                if dice.random() < 0.01:
                    cache.clear()
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert found[0] > 20
    assert not list(tmp_path.rglob("*.tmp"))
