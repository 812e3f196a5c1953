"""One session with NVIDIA's driver, through `pynvml` (the package nvidia-ml-py). Every call may block for as long as
the driver pleases; `gpus` gives it a thread of its own.

What a card does not tell, or not to us, is None. NVML's units (milliwatts, millijoules, MHz, percent, KB/s) end here.
Names of functions, constants and errors: NVIDIA's NVML API reference.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

from longtake.monitor.probes.records import Card, CardProcess, Throttle

log = logging.getLogger(__name__)

# Bit → reason, as NVML numbers them (nvmlClocksEventReason…).
_THROTTLES = {1 << bit: throttle for bit, throttle in enumerate(Throttle)}
_EVENTS_A_LOOK = 16  # a card in trouble may tell of thousands

XIDS = {
    13: "an error in a program's instructions on the card",
    31: "a memory page fault of a program",
    43: "a program on the card stopped",
    48: "a memory error that cannot be corrected",
    74: "an NVLink error",
    79: "the card has fallen off the bus",
    94: "a contained memory error",
    95: "an uncontained memory error",
    119: "the card's own processor does not answer",
}
"""The critical errors that matter most to who waits for audio (NVIDIA's catalogue of XID errors has them all)."""


class LostError(Exception):
    """The card does not answer any more: it fell off the bus, or wants a reset."""


class NvmlSession:
    """From init to shutdown. One thread owns it."""

    def __init__(self, pynvml: Any, xids: dict[str, tuple[int, int]]) -> None:
        """
        Args:
            pynvml: The module.
            xids: Of each card, by UUID, the latest critical error and how many there were; outlives sessions.

        Raises:
            pynvml.NVMLError: There is no driver, or it does not answer.
        """
        self._nvml = pynvml
        pynvml.nvmlInit()
        self._cards: list[_CardSession] = []
        try:
            self.driver_version: str | None = self._ask(pynvml.nvmlSystemGetDriverVersion)
            self._cards += [_CardSession(pynvml, index, xids) for index in range(pynvml.nvmlDeviceGetCount())]
        except BaseException:
            self.close()
            raise

    def read(self, *, is_thorough: bool) -> tuple[Card, ...]:
        """
        Args:
            is_thorough: Also what takes the driver long or seldom changes: processes, and the traffic on the bus, for
                which NVML counts 20 ms a direction.

        Raises:
            pynvml.NVMLError: The session is void; a new one may do better.
        """
        return tuple(card.read(is_thorough=is_thorough) for card in self._cards)

    @property
    def error(self) -> type[Exception]:
        """What the driver's refusals are."""
        error: type[Exception] = self._nvml.NVMLError
        return error

    def uuids(self) -> dict[int, str]:
        """Card → what it is called for good, of those that can be asked."""
        return {card.index: card.uuid for card in self._cards if card.uuid is not None}

    def power_limits(self, index: int) -> tuple[float, float, float]:
        """A card's limit now, and the lowest and highest that it takes, in watts.

        Raises:
            pynvml.NVMLError: It has none.
        """
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        lowest, highest = self._nvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
        return self._nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3, lowest / 1e3, highest / 1e3

    def set_power_limit(self, index: int, watts: float) -> None:
        """
        Raises:
            pynvml.NVMLError: Not permitted, as to everybody but root; or not supported.
        """
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        self._nvml.nvmlDeviceSetPowerManagementLimit(handle, round(watts * 1e3))

    def close(self) -> None:
        """End the session; a driver that fails at that as well is no concern of ours."""
        for card in self._cards:
            card.close()
        self._ask(self._nvml.nvmlShutdown)

    def _ask(self, call: Callable[..., Any], *args: Any) -> Any | None:
        try:
            return call(*args)
        except self._nvml.NVMLError:
            return None


class _CardSession:
    """One card. What it is called is asked once."""

    def __init__(self, pynvml: Any, index: int, xids: dict[str, tuple[int, int]]) -> None:
        self._nvml = pynvml
        self.index = index
        self._handle: Any = None
        self._events: Any = None
        self.uuid: str | None = None
        self._name: str | None = None
        self._slow: dict[str, Any] = {}
        self._xids = xids
        try:
            self._handle = self._call(pynvml.nvmlDeviceGetHandleByIndex, index)
            self._name, self.uuid = self._get("Name"), self._get("UUID")
            self._events = self._listen()
        except (LostError, pynvml.NVMLError):  # the others can be read all the same
            self._handle = None

    @property
    def _key(self) -> str:
        return self.uuid or str(self.index)

    def read(self, *, is_thorough: bool) -> Card:
        self._hear()
        try:
            return self._read(is_thorough)
        except LostError:
            xid, xids = self._xids.get(self._key, (None, 0))
            return Card(self.index, self.uuid, self._name, is_lost=True, xid=xid, xids=xids)

    def close(self) -> None:
        if self._events is not None:
            self._try(self._nvml.nvmlEventSetFree, self._events)

    def _read(self, is_thorough: bool) -> Card:
        if self._handle is None:
            raise LostError
        nvml, get = self._nvml, self._get
        if is_thorough or not self._slow:
            self._slow = self._read_slow()
        use, memory, mig = get("UtilizationRates"), get("MemoryInfo"), get("MigMode")
        xid, xids = self._xids.get(self._key, (None, 0))
        return Card(
            index=self.index,
            uuid=self.uuid,
            name=self._name,
            utilisation_ratio=None if use is None else use.gpu / 100,
            memory_used_bytes=None if memory is None else int(memory.used),
            memory_total_bytes=None if memory is None else int(memory.total),
            temperature_celsius=get("Temperature", nvml.NVML_TEMPERATURE_GPU),
            power_watts=_scaled(get("PowerUsage"), 1e-3),
            energy_joules=_scaled(get("TotalEnergyConsumption"), 1e-3),
            sm_clock_hz=_scaled(get("ClockInfo", nvml.NVML_CLOCK_SM), 1e6),
            memory_clock_hz=_scaled(get("ClockInfo", nvml.NVML_CLOCK_MEM), 1e6),
            throttles=self._throttles(),
            fan_ratio=_scaled(get("FanSpeed"), 1e-2),
            is_mig=None if mig is None else bool(mig[0]),
            xid=xid,
            xids=xids,
            **self._slow,
        )

    def _read_slow(self) -> dict[str, Any]:
        nvml, get = self._nvml, self._get
        processes = get("ComputeRunningProcesses")
        return {
            "power_limit_watts": _scaled(get("EnforcedPowerLimit"), 1e-3),
            "pcie_generation": get("CurrPcieLinkGeneration"),
            "pcie_lanes": get("CurrPcieLinkWidth"),
            "pcie_received_bytes_per_s": _scaled(get("PcieThroughput", nvml.NVML_PCIE_UTIL_RX_BYTES), 1e3),
            "pcie_sent_bytes_per_s": _scaled(get("PcieThroughput", nvml.NVML_PCIE_UTIL_TX_BYTES), 1e3),
            "processes": None
            if processes is None
            else tuple(CardProcess(int(each.pid), each.usedGpuMemory) for each in processes),
        }

    def _throttles(self) -> frozenset[Throttle] | None:
        mask = self._get("CurrentClocksEventReasons")
        if mask is None:  # drivers before 535 know it by its older name
            mask = self._get("CurrentClocksThrottleReasons")
        return None if mask is None else frozenset(each for bit, each in _THROTTLES.items() if mask & bit)

    # Critical errors

    def _listen(self) -> Any | None:
        """An event set a card: the card that an event names cannot be asked who it is once it is lost."""
        events = self._try(self._nvml.nvmlEventSetCreate)
        if events is None:
            return None
        try:
            self._nvml.nvmlDeviceRegisterEvents(self._handle, self._nvml.nvmlEventTypeXidCriticalError, events)
        except self._nvml.NVMLError as error:
            log.info("card %d does not tell of its critical errors: %s", self.index, error)
            self._try(self._nvml.nvmlEventSetFree, events)
            return None
        return events

    def _hear(self) -> None:
        if self._events is None:
            return
        for _ in range(_EVENTS_A_LOOK):
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
            except self._nvml.NVMLError:  # most often that there is none; what else is wrong shows in `_read`
                return
            if event.eventType & self._nvml.nvmlEventTypeXidCriticalError:
                xid, (_, before) = int(event.eventData), self._xids.get(self._key, (0, 0))
                self._xids[self._key] = xid, before + 1
                what = XIDS.get(xid, "see NVIDIA's catalogue of XID errors")
                log.error("card %d reports the critical error XID %d: %s", self.index, xid, what)

    # Asking

    def _get(self, what: str, *args: Any) -> Any | None:
        """None where the driver has no answer.

        Raises:
            LostError: The card has gone.
            pynvml.NVMLError: The session has gone.
        """
        nvml = self._nvml
        call = getattr(nvml, f"nvmlDeviceGet{what}", None)
        if call is None:  # an older nvidia-ml-py
            return None
        try:
            return self._call(call, self._handle, *args)
        except nvml.NVMLError_Uninitialized:
            raise
        except nvml.NVMLError:
            return None

    def _call(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except (self._nvml.NVMLError_GpuIsLost, self._nvml.NVMLError_ResetRequired) as error:
            raise LostError from error

    def _try(self, call: Callable[..., Any], *args: Any) -> Any | None:
        try:
            return call(*args)
        except self._nvml.NVMLError:
            return None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def load_nvml() -> Any:
    """The module `pynvml`; takes a tenth of a second.

    Raises:
        ImportError: It is not installed.
    """
    with warnings.catch_warnings():
        # A package of that name, outdated, may be installed beside nvidia-ml-py; it warns of itself, and does no harm.
        warnings.simplefilter("ignore", FutureWarning)
        return import_module("pynvml")
