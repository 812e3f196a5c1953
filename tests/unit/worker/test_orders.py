"""The wire between supervisor and worker, with real pipes."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longtake.config import load_settings
from longtake.worker.orders import HOLD, Assignment, Rest, follow_orders, read_assignment


class Orders:
    """A pipe with a reader that writes down what it was told."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self.stream = os.fdopen(reading, encoding="utf-8")
        self.parent = os.fdopen(writing, "w", encoding="utf-8")
        self.told: list[str] = []
        self.changed = threading.Condition()
        follow_orders(
            self.stream,
            {"hold": self.note("hold"), "wake": self.note("wake"), "unload": self.note("unload")},
            self.note("stop"),
        )

    def note(self, word: str) -> Callable[..., None]:
        def write(ticket: str = "") -> None:
            with self.changed:
                self.told.append(f"{word} {ticket}".strip())
                self.changed.notify()

        return write

    def say(self, text: str) -> None:
        self.parent.write(text)
        self.parent.flush()

    def wait(self, count: int) -> list[str]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.told) >= count, 5), self.told
            return list(self.told)

    def close(self) -> None:
        self.parent.close()
        self.wait(1)
        for thread in threading.enumerate():
            if thread.name == "orders":
                thread.join(5)
        self.stream.close()


@pytest.fixture
def orders() -> Iterator[Orders]:
    orders = Orders()
    yield orders
    orders.close()


def test_each_wake_is_passed_on_and_other_words_are_not(orders: Orders) -> None:
    orders.say("wake\n\ndance\nWAKE\n")
    orders.say("wake\n")
    assert orders.wait(2) == ["wake", "wake"]
    orders.say("wa")
    orders.say("ke\n")
    assert orders.wait(3) == ["wake"] * 3


def test_an_order_brings_its_ticket(orders: Orders) -> None:
    orders.say("unload 5f3a\nunload\nunloaded 1\n")
    orders.say("wake\n")
    assert orders.wait(3) == ["unload 5f3a", "unload", "wake"]


def test_after_stop_nothing_is_heard(orders: Orders) -> None:
    orders.say("wake\nstop\nwake\n")
    assert orders.wait(2) == ["wake", "stop"]
    orders.say("wake\n")
    orders.parent.close()
    for thread in threading.enumerate():
        if thread.name == "orders":
            thread.join(5)
    assert orders.told == ["wake", "stop"]


def test_a_parent_that_dies_is_an_order_to_stop(orders: Orders) -> None:
    orders.parent.close()
    assert orders.wait(1) == ["stop"]


def test_an_assignment_is_one_line_and_comes_back_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_WORKER__MAX_JOBS", "7")
    odd = tmp_path / "a\nfolder “with” \\ everything"
    settings = load_settings(
        data=odd, engine={"model": "m\n", "memory_budget": "1GiB"}, server={"api_key": "k", "allowed_hosts": ("a", "b")}
    )
    sent = Assignment("espeak-1", "espeak", settings, "job_1")
    line = sent.to_line()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    # The child's environment has no say: the parent has read it.
    monkeypatch.setenv("LONGTAKE_WORKER__MAX_JOBS", "9")
    monkeypatch.setenv("LONGTAKE_DATA", "/elsewhere")
    stream = io.StringIO(line + "wake\n")
    assert read_assignment(stream) == sent
    assert stream.readline() == "wake\n", "the orders after it are left to be followed"
    assert sent.settings.worker.max_jobs == 7


def test_no_job_means_any_job(tmp_path: Path) -> None:
    sent = Assignment("w", "espeak", load_settings(data=tmp_path))
    assert Assignment.from_line(sent.to_line()).only_job is None


def test_who_starts_a_worker_by_hand_is_told_how() -> None:
    with pytest.raises(SystemExit, match="longtake serve"):
        read_assignment(io.StringIO(""))


@pytest.mark.parametrize("reason", [None, 'card 0 has 76 °C; "go on" below 70 °C\nstop'])
def test_an_order_to_rest_comes_whole_whatever_its_reason_says(reason: str | None, orders: Orders) -> None:
    order = Rest(HOLD, reason).to_order()
    assert order.isascii()
    orders.say(f"{order}\nwake\n")
    told, wake = orders.wait(2)
    assert wake == "wake"
    word, _, behind = told.partition(" ")
    assert Rest.from_order(word, behind) == Rest(HOLD, reason)
