"""The power limit that the settings ask for: set where the driver permits, taken back at the end, also after a crash.

What a card had before is written down before it is changed. A host that starts and finds such a note first takes back
what a dead one has left.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from longtake.core.disk import commit_file
from longtake.core.errors import LongtakeError
from longtake.monitor.probes.gpus import GpuWatch
from longtake.monitor.probes.nvml import NvmlSession

log = logging.getLogger(__name__)

RESTORE_S = 2.0
_TOLERANCE_W = 0.5  # NVML may round


class PowerLimit:
    """Everything is done by the thread of the cards; nothing here blocks but `restore`, and that not for long."""

    def __init__(self, gpus: GpuWatch, note: Path, watts: float | None) -> None:
        """
        Args:
            note: Where the limits that the cards had before are kept meanwhile.
            watts: For each card; None: leave them as they are.
        """
        self._gpus = gpus
        self._note = note
        self._watts = watts
        self.limits: dict[int, float] = {}  # set by us: card → watts

    def apply(self) -> Future[None] | None:
        """Have the limits set, or what a dead host left taken back; None when there is nothing to do."""
        if self._watts is None and not self._note.exists():
            return None
        return self._do(self._apply)

    def restore(self) -> None:
        """Give the cards back what they had. A driver that hangs keeps the note, for the next host."""
        if not self._note.exists():
            return
        try:
            self._do(self._restore).result(RESTORE_S)
        except TimeoutError:
            log.warning("the driver hangs: the power limits stay; the next start takes them back")
        except Exception:  # a border, already told: the end is not held up by a driver
            return

    def _do(self, action: Callable[[NvmlSession], None]) -> Future[None]:
        done: Future[None] = self._gpus.do(action)
        done.add_done_callback(_tell)
        return done

    def _apply(self, session: NvmlSession) -> None:
        self._restore(session)
        if self._watts is None:
            return
        wanted = {}
        for index, uuid in session.uuids().items():
            try:
                before, lowest, highest = session.power_limits(index)
            except session.error as error:
                log.warning("card %d has no power limit that can be set: %s", index, error)
                continue
            if not lowest <= self._watts <= highest:
                log.warning(
                    "heat.power_limit_watts is %g, but card %d takes %g to %g W; it stays at %g W",
                    self._watts, index, lowest, highest, before,
                )  # fmt: skip
            elif abs(before - self._watts) > _TOLERANCE_W:
                wanted[index] = uuid, before
        left = self._read()  # of cards that could not be given back what they had
        self._remember(dict(wanted.values()) | left)
        for index, (uuid, before) in wanted.items():
            if self._set(session, index, self._watts, f"it stays at {before:g} W"):
                self.limits[index] = self._watts
                left.setdefault(uuid, before)
                log.warning("card %d: power limit set to %g W, before %g W", index, self._watts, before)
        self._remember(left)

    def _restore(self, session: NvmlSession) -> None:
        before = self._read()
        left = {}
        indices = {uuid: index for index, uuid in session.uuids().items()}
        for uuid, watts in before.items():
            index = indices.get(uuid)
            if index is None or not self._set(session, index, watts, "it is tried again at the next start"):
                left[uuid] = watts  # lost now, and back another day
                continue
            self.limits.pop(index, None)
            log.warning("card %d: power limit set back to %g W", index, watts)
        self._remember(left)

    def _set(self, session: NvmlSession, index: int, watts: float, otherwise: str) -> bool:
        try:
            session.set_power_limit(index, watts)
        except session.error as error:
            log.warning(
                "the power limit of card %d cannot be set to %g W: %s; %s. Only root may set it, or `nvidia-smi -pl` "
                "run by root before the start.", index, watts, error, otherwise,
            )  # fmt: skip
            return False
        return True

    def _remember(self, limits: dict[str, float]) -> None:
        """
        Raises:
            LongtakeError, OSError: The disk refuses; then nothing may be changed, since nothing could be taken back.
        """
        if not limits:
            self._note.unlink(missing_ok=True)
            return
        new = self._note.with_suffix(".new")
        new.write_text(json.dumps(limits), encoding="utf-8")
        commit_file(new, self._note)

    def _read(self) -> dict[str, float]:
        try:
            found = json.loads(self._note.read_text(encoding="utf-8"))
            return {str(uuid): float(watts) for uuid, watts in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            log.warning("the note of power limits %s cannot be read: %s", self._note, error)
            return {}


def _tell(done: Future[None]) -> None:
    error = None if done.cancelled() else done.exception()
    if isinstance(error, ConnectionError | LongtakeError | OSError):
        log.warning("power limits are left as they are: %s", error)
    elif error is not None:
        log.error("power limits are left as they are", exc_info=error)
