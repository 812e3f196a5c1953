"""NVIDIA's driver as a script says it is: the functions of the module `pynvml`, with its own constants and errors.

A script is a dictionary, or a JSON file that is read again whenever it has changed:

    driver      a version, or the name of the error that nvmlInit raises: "LibraryNotFound", "DriverNotLoaded", …
    hangs       true: every call waits until that is changed
    cards       each a dictionary; what is not in it is N/A
        lost        true: every call raises GpuIsLost;  unlisted: true: it is not even counted
        error       the name of an error that every reading of it raises
        xids        critical errors, told one after the other, each once
        permits     false: its power limit may not be set
        name, uuid, utilisation, memory [used, total], temperature, power_mw, energy_mj, sm_mhz, memory_mhz, fan,
        throttles (mask), mig, limit_mw, limits_mw [lowest, highest], processes [[pid, bytes]], pcie [generation, lanes,
        received, sent]
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

H100 = {
    "name": "NVIDIA H100 80GB HBM3",
    "uuid": "GPU-0",
    "utilisation": 50,
    "memory": [20 << 30, 80 << 30],
    "temperature": 60,
    "power_mw": 350_000,
    "energy_mj": 1_000_000,
    "sm_mhz": 1980,
    "memory_mhz": 2619,
    "throttles": 0,
    "mig": 0,
    "limit_mw": 700_000,
    "limits_mw": [200_000, 700_000],
    "processes": [[4242, 18 << 30]],
    "pcie": [5, 16, 1000, 2000],
}
"""A card that is well; like the real one it has no fan."""


def card(index: int = 0, **changes: Any) -> dict[str, Any]:
    return H100 | {"uuid": f"GPU-{index}"} | changes


class ScriptedNvml:
    """In the place of the module `pynvml`."""

    def __init__(self, real: ModuleType, script: dict[str, Any] | Path, state: Path | None = None) -> None:
        """
        Args:
            real: The real module, for constants and errors.
            state: Keeps the power limits that were set, as the real driver does when the process that set them dies.
        """
        self._real = real
        self._source = script
        self._read: tuple[int, dict[str, Any]] = (-1, {})
        self._state = state
        self._limits: dict[str, int] = json.loads(state.read_text()) if state and state.exists() else {}
        self._told: dict[str, int] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("nvml") and not name.startswith("nvmlEventType"):
            raise AttributeError(f"the script has no {name}")
        return getattr(self._real, name)

    @property
    def script(self) -> Mapping[str, Any]:
        if isinstance(self._source, dict):
            return self._source
        changed = self._source.stat().st_mtime_ns
        if changed != self._read[0]:
            self._read = changed, json.loads(self._source.read_text())
        return self._read[1]

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        while self.script.get("hangs"):
            time.sleep(0.005)

    def _raise(self, error: str) -> NoReturn:
        raise getattr(self._real, f"NVMLError_{error}")()

    def _listed(self) -> list[dict[str, Any]]:
        return [each for each in self.script.get("cards", ()) if not each.get("unlisted")]

    def _card(self, handle: str, call: str) -> dict[str, Any]:
        self._enter(call)
        found = next((each for each in self._listed() if each["uuid"] == handle), None)
        if found is None or found.get("lost"):
            self._raise("GpuIsLost")
        if "error" in found:
            self._raise(found["error"])
        return found

    def _value(self, handle: str, name: str, place: int | None = None) -> Any:
        value = self._card(handle, name).get(name)
        if value is None:
            self._raise("NotSupported")
        return value if place is None else value[place]

    def nvmlInit(self) -> None:  # noqa: N802
        self._enter("init")
        driver = self.script.get("driver", "595.10")
        if not driver[0].isdigit():
            self._raise(driver)

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._enter("shutdown")

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        self._enter("version")
        return str(self.script.get("driver", "595.10"))

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._enter("count")
        return len(self._listed())

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        self._enter("handle")
        uuid: str = self._listed()[index]["uuid"]
        self._card(uuid, "handle")
        return uuid

    def nvmlDeviceGetName(self, handle: str) -> str:  # noqa: N802
        return str(self._value(handle, "name"))

    def nvmlDeviceGetUUID(self, handle: str) -> str:  # noqa: N802
        return str(self._value(handle, "uuid"))

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=self._value(handle, "utilisation"), memory=0)

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int | None = None) -> SimpleNamespace:  # noqa: N802
        used, total = self._value(handle, "memory")
        return SimpleNamespace(used=used, total=total, free=total - used)

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:  # noqa: N802
        return int(self._value(handle, "temperature"))

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802
        return int(self._value(handle, "power_mw"))

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        return int(self._value(handle, "energy_mj"))

    def nvmlDeviceGetClockInfo(self, handle: str, type: int) -> int:  # noqa: A002, N802
        return int(self._value(handle, "memory_mhz" if type == self._real.NVML_CLOCK_MEM else "sm_mhz"))

    def nvmlDeviceGetFanSpeed(self, handle: str) -> int:  # noqa: N802
        return int(self._value(handle, "fan"))

    def nvmlDeviceGetMigMode(self, device: str) -> list[int]:  # noqa: N802
        return [int(self._value(device, "mig"))] * 2

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:  # noqa: N802
        if self.script.get("is_old"):
            self._raise("FunctionNotFound")
        return int(self._value(handle, "throttles"))

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        return int(self._value(handle, "throttles"))

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:  # noqa: N802
        found = self._value(handle, "processes")
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in found]

    def nvmlDeviceGetCurrPcieLinkGeneration(self, handle: str) -> int:  # noqa: N802
        return int(self._value(handle, "pcie", 0))

    def nvmlDeviceGetCurrPcieLinkWidth(self, handle: str) -> int:  # noqa: N802
        return int(self._value(handle, "pcie", 1))

    def nvmlDeviceGetPcieThroughput(self, device: str, counter: int) -> int:  # noqa: N802
        return int(self._value(device, "pcie", 2 if counter == self._real.NVML_PCIE_UTIL_RX_BYTES else 3))

    # Power

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:  # noqa: N802
        return self._limits.get(handle) or int(self._value(handle, "limit_mw"))

    def nvmlDeviceGetPowerManagementLimit(self, handle: str) -> int:  # noqa: N802
        return self._limits.get(handle) or int(self._value(handle, "limit_mw"))

    def nvmlDeviceGetPowerManagementLimitConstraints(self, handle: str) -> list[int]:  # noqa: N802
        lowest, highest = self._value(handle, "limits_mw")
        return [lowest, highest]

    def nvmlDeviceSetPowerManagementLimit(self, handle: str, limit: int) -> None:  # noqa: N802
        if not self._card(handle, "set").get("permits", True):
            self._raise("NoPermission")
        lowest, highest = self._value(handle, "limits_mw")
        if not lowest <= limit <= highest:
            self._raise("InvalidArgument")
        self._limits[handle] = limit
        if self._state is not None:
            self._state.write_text(json.dumps(self._limits))

    # Events

    def nvmlEventSetCreate(self) -> dict[str, str]:  # noqa: N802
        self._enter("events")
        return {}

    def nvmlDeviceRegisterEvents(self, handle: str, eventTypes: int, eventSet: dict[str, str]) -> None:  # noqa: N802
        if self._card(handle, "register").get("xids") is None:
            self._raise("NotSupported")
        assert eventTypes == self._real.nvmlEventTypeXidCriticalError
        eventSet["card"] = handle

    def nvmlEventSetWait_v2(self, eventSet: dict[str, str], timeoutms: int) -> SimpleNamespace:  # noqa: N802
        self._enter("wait")
        handle = eventSet["card"]
        xids = next((each.get("xids", ()) for each in self.script["cards"] if each["uuid"] == handle), ())
        told = self._told.get(handle, 0)
        if told >= len(xids):
            self._raise("Timeout")
        self._told[handle] = told + 1
        return SimpleNamespace(eventType=self._real.nvmlEventTypeXidCriticalError, eventData=xids[told])

    def nvmlEventSetFree(self, eventSet: dict[str, str]) -> None:  # noqa: N802
        self._enter("free")
