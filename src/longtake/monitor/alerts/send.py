"""Carries messages to people, through Apprise. Never makes anybody wait, and never writes an address anywhere.

An address holds a secret (a token, a password, the key of a webhook), so it is known here by its number and its kind
alone: ``channel 1 (wecombot)``. Apprise and the libraries below it write whole addresses when asked for details, so
they are not asked.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

QUEUED = 100
PAUSES_S = (5.0, 30.0, 120.0, 600.0)  # before each further try
_TALKATIVE = ("apprise", "urllib3", "requests", "httpx", "httpcore", "smtplib", "paho")


@dataclass(frozen=True, slots=True)
class Message:
    """``kind`` is one of Apprise's: ``info``, ``success``, ``warning``, ``failure``."""

    title: str
    body: str
    kind: str = "info"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message on one channel; ``reason`` when it did not arrive."""

    channel: str
    is_sent: bool
    reason: str | None = None


class Channels:
    """Where messages go. One thread at a time."""

    def __init__(self, urls: Sequence[str]) -> None:
        """
        Args:
            urls: Apprise's addresses; they are secrets.
        """
        self._urls = tuple(urls)

    def __len__(self) -> int:
        return len(self._urls)

    def send(self, message: Message, only: Sequence[int] | None = None) -> list[Delivery]:
        """One try on each channel, some seconds each at most.

        Args:
            only: Numbers of the channels, from 0; None: all.
        """
        apprise = _load()
        found = []
        for number, url in enumerate(self._urls):
            if only is None or number in only:
                found.append(_send(apprise, f"channel {number + 1} ({_kind(url)})", url, message))
        return found


def _send(apprise: Any, channel: str, url: str, message: Message) -> Delivery:
    try:
        # Plugins of a user's own are code, and what a message holds is text: nothing is looked up or attached.
        place = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, secure_logging=True))
        if not place.add(url):
            return Delivery(channel, False, "Apprise does not understand this address")
        is_sent = bool(place.notify(title=message.title, body=message.body, notify_type=message.kind))
    except Exception as error:  # a border: of a hundred services' code, which may put the address into its errors
        return Delivery(channel, False, f"it failed with {type(error).__name__}")
    return Delivery(channel, is_sent, None if is_sent else "the service could not be reached or refused it")


def _kind(url: str) -> str:
    """``wecombot`` of ``wecombot://…``, if it is a plain word: anything else may be part of a secret."""
    kind = url.partition("://")[0]
    return kind if kind != url and kind.isalnum() and len(kind) < 24 else "unknown"


def _load() -> Any:
    """Apprise, and silence: imported when there is something to send, because that takes half a second."""
    import apprise

    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if name == "apprise":
            logger.propagate = False
            logger.handlers = [logging.NullHandler()]
        elif logger.getEffectiveLevel() < logging.WARNING:
            logger.setLevel(logging.WARNING)
    return apprise


class Sender:
    """A thread that sends what it is given, in order, and tries again what did not arrive. Safe from any thread."""

    def __init__(self, channels: Channels, *, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._channels = channels
        self._pauses_s = pauses_s
        self._queue: deque[Message] = deque(maxlen=QUEUED)  # of a thousand alerts at once the latest count
        self._news = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="alerts-sender", daemon=True)

    def start(self) -> None:
        if len(self._channels):
            self._thread.start()

    def send(self, message: Message) -> None:
        """Returns at once; without a channel it is forgotten."""
        with self._news:
            if len(self._channels):
                self._queue.append(message)
            self._news.notify()

    def stop(self, timeout_s: float = 1.0) -> None:
        """What has not been sent is dropped; a service that hangs holds up nobody."""
        with self._news:
            self._is_stopping = True
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._queue or self._is_stopping)
                if self._is_stopping:
                    return
                message = self._queue.popleft()
            self._deliver(message)

    def _deliver(self, message: Message) -> None:
        left: Sequence[int] = range(len(self._channels))
        for pause_s in (0.0, *self._pauses_s):
            with self._news:
                if self._news.wait_for(lambda: self._is_stopping, pause_s):
                    return
            results = dict(zip(left, self._channels.send(message, left), strict=True))
            left = [number for number, result in results.items() if not result.is_sent]
            if not left:
                log.info("alert sent: %s", message.title)
                return
        for number in left:
            log.error("alert not sent on %s: %s: %s", results[number].channel, results[number].reason, message.title)
