"""Where a health report gets its facts in this process; and the weekly one, made by the host."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from longtake.config import ReportSettings, Settings
from longtake.core.clock import Clock
from longtake.core.errors import LongtakeError
from longtake.jobs.folder import DataFolder
from longtake.jobs.store import JobStore
from longtake.monitor.alerts.send import Channels, Message, Sender
from longtake.report import Report, Setup, Severity, Sources, gather, in_short, render
from longtake.report.weekly import WEEK_S, last_due
from longtake.supervise.crashes import CrashFolder

log = logging.getLogger(__name__)

LOOK_S = 60.0
AGAIN_S = 3600.0  # after a failure, such as a full disk
KEPT = 12


def report_sources(store: JobStore, folder: DataFolder, settings: Settings) -> Sources:
    """What lies in the data folder, also while nobody serves it."""

    def budgets() -> dict[str, int]:
        return {row.engine: row.budget_bytes for row in store.workers() if row.budget_bytes is not None}

    return Sources(
        history=store.history,
        minutes=folder.minutes,
        crashes=CrashFolder(folder.crashes).newest,
        free_bytes=lambda: folder.free_bytes() - folder.floor_bytes,
        budgets=budgets,
        setup=Setup(settings.engines, settings.worker.max_jobs),
    )


class WeeklyReport:
    """`tidy` is called again and again by one thread. A report that was missed is made at the next start, once.

    Whether one is due can be seen from the folder: each is named after the day on which it was.
    """

    def __init__(
        self, sources: Sources, folder: Path, settings: ReportSettings, urls: Sequence[SecretStr], clock: Clock
    ) -> None:
        """
        Args:
            urls: Where it is told that there is one: those of the alerts.
        """
        self._sources = sources
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self._look_at_s = float("-inf")
        self._sender = Sender(Channels([url.get_secret_value() for url in urls]))
        self._is_sending = False

    def tidy(self) -> None:
        """Make the report that is due, if one is."""
        now_s = self._clock.monotonic_s()
        if self._settings.weekly is None or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_S
        due = last_due(self._settings.weekly, self._clock.wall_s())
        path = self._folder / f"{due:%Y-%m-%d}.html"
        if path.exists():
            return
        try:
            self._make(path)
        except (LongtakeError, OSError) as error:
            self._look_at_s = now_s + AGAIN_S
            log.warning("the weekly report could not be made, it is tried again in an hour: %s", error)

    def close(self) -> None:
        if self._is_sending:
            self._sender.stop()

    def _make(self, path: Path) -> None:
        until_s = self._clock.wall_s()
        report = gather(self._sources, until_s - WEEK_S, until_s)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for form in ("md", "html"):  # the one that counts as made comes last
            text = render(report, form, self._settings.language)
            new = path.with_suffix(f".{form}.new")
            new.write_text(text, encoding="utf-8")
            new.replace(path.with_suffix(f".{form}"))
        for suffix in (".md", ".html"):
            for old in sorted(self._folder.glob(f"????-??-??{suffix}"))[:-KEPT]:
                with suppress(OSError):
                    old.unlink()
        log.info("the weekly report is made: %s, %d pieces of advice", path.name, len(report.advice))
        self._tell(report, path)

    def _tell(self, report: Report, path: Path) -> None:
        if not self._is_sending:
            self._is_sending = True
            self._sender.start()
        is_bad = any(advice.severity is Severity.BAD for advice in report.advice)
        title, body = in_short(report, self._settings.language)
        self._sender.send(Message(title, f"{body}\n{path.name}", "warning" if is_bad else "info"))
