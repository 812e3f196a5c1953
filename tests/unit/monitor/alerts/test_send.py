"""Messages go to a real webhook, are tried again, make nobody wait; no secret is ever written."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from longtake.monitor.alerts.send import QUEUED, Channels, Message, Sender
from tests.support.webhook import Webhook, webhook

MESSAGE = Message("longtake: 1 on: DiskLow", "! Little room.\n磁盘空间不足", "warning")
DEAD = "json://127.0.0.1:9/token-SECRET"


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook


def test_a_message_arrives_whole(hook: Webhook) -> None:
    (delivery,) = Channels([hook.url]).send(MESSAGE)
    assert (delivery.channel, delivery.is_sent, delivery.reason) == ("channel 1 (json)", True, None)
    (received,) = hook.received
    assert (received["title"], received["message"], received["type"]) == (MESSAGE.title, MESSAGE.body, "warning")


def test_one_channel_that_is_down_takes_no_other_along(hook: Webhook) -> None:
    dead, wrong, well = Channels([DEAD, "no address, SECRET", hook.url]).send(MESSAGE)
    assert (dead.is_sent, wrong.is_sent, well.is_sent) == (False, False, True)
    assert wrong.channel == "channel 2 (unknown)"
    assert "SECRET" not in repr((dead, wrong))


def test_what_did_not_arrive_is_tried_again_there_and_nowhere_else(hook: Webhook) -> None:
    with webhook() as other:
        hook.refuses = 2
        sender = Sender(Channels([hook.url, other.url]), pauses_s=(0.01, 0.01, 0.01))
        sender.start()
        sender.send(MESSAGE)
        hook.wait(1)
        sender.stop(5)
        assert (len(hook.paths), len(other.paths)) == (3, 1)


def test_it_gives_up_and_says_so_without_the_address(caplog: pytest.LogCaptureFixture, hook: Webhook) -> None:
    with caplog.at_level(logging.DEBUG):
        sender = Sender(Channels([DEAD, hook.url]), pauses_s=(0.01,))
        sender.start()
        sender.send(MESSAGE)
        deadline_s = time.monotonic() + 20
        while not any(record.levelno == logging.ERROR for record in caplog.records):
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        sender.stop(5)
    assert "alert not sent on channel 1 (json)" in caplog.text
    assert "SECRET" not in caplog.text, "not even where everything is logged, by Apprise and what lies below it"
    assert hook.received


def test_nobody_waits_for_a_service_that_hangs(hook: Webhook) -> None:
    hook.holds_s = 1.5
    sender = Sender(Channels([hook.url]))
    sender.start()
    began_s = time.monotonic()
    for _ in range(1000):
        sender.send(MESSAGE)
    assert time.monotonic() - began_s < 0.5
    assert len(sender._queue) <= QUEUED, "and they do not pile up"
    began_s = time.monotonic()
    sender.stop(0.2)
    assert time.monotonic() - began_s < 1.0


def test_without_channels_there_is_no_thread() -> None:
    sender = Sender(Channels([]))
    sender.start()
    sender.send(MESSAGE)
    sender.stop()
    assert not sender._queue
