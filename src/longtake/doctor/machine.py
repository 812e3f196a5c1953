"""What longtake runs on: Python, libraries, the clock, fonts, the driver, torch."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

from longtake.core.clock import SystemClock
from longtake.core.errors import InputError, WorkerError
from longtake.core.units import format_bytes
from longtake.doctor.finding import Check
from longtake.monitor.probes.gpus import GpuWatch
from longtake.monitor.probes.records import GpuState

OLDEST_PYTHON = (3, 11)
TORCH_REMEDY = "Install longtake[vibevoice] with the torch build for this machine's driver; pytorch.org lists them."
_RELEASED = datetime(2025, 11, 1, tzinfo=UTC)  # no clock that is right says an earlier time
_DRIVER_S, _TORCH_S, _FONTS_S = 5.0, 120.0, 20.0


def python() -> Check:
    found = f"{platform.python_version()} on {platform.platform()}"
    is_ok = sys.version_info >= OLDEST_PYTHON
    return Check("python", is_ok, found, "" if is_ok else "Install Python 3.11 or later.")


def ffmpeg() -> str:
    import av  # here: a broken library is what this check is for

    versions = {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}
    missing = {"libavcodec", "libavfilter", "libavformat"} - versions.keys()
    if missing:
        raise ImportError(f"PyAV {av.__version__} comes without {', '.join(sorted(missing))}")
    return f"PyAV {av.__version__}: " + ", ".join(f"{name} {version}" for name, version in versions.items())


def clock() -> str:
    """
    Raises:
        InputError: It is wrong by far.
    """
    now = datetime.now(UTC)
    if now < _RELEASED:
        raise InputError(f"The clock says {now:%Y-%m-%d %H:%M} UTC, which is in the past.", code="wrong_clock")
    return f"{now:%Y-%m-%d %H:%M:%S} UTC"


def fonts() -> str:
    """Speaking needs none. A browser on this machine shows the page in Chinese only with a font for it."""
    tool = shutil.which("fc-list")
    if tool is None:
        return "not looked at (no fontconfig): only a browser on this very machine needs them"
    done = subprocess.run([tool, ":lang=zh", "family"], capture_output=True, text=True, timeout=_FONTS_S, check=False)
    families = sorted({line.split(",")[0].strip() for line in done.stdout.splitlines() if line.strip()})
    if not families:
        return "none with Chinese characters: a browser on this very machine shows boxes, others do not mind"
    return f"Chinese: {families[0]}" + (f" and {len(families) - 1} more" if len(families) > 1 else "")


def driver(device: str) -> str:
    """
    Raises:
        WorkerError: A driver that is there does not work, or one that was asked for is absent.
    """
    watch = GpuWatch(SystemClock())
    watch.start()
    deadline_s = time.monotonic() + _DRIVER_S
    while (reading := watch.reading()).state is GpuState.STARTING and time.monotonic() < deadline_s:
        time.sleep(0.05)
    watch.close()
    is_wanted = device.startswith("cuda")
    if reading.state is GpuState.ABSENT and not is_wanted:
        return f"no NVIDIA driver ({reading.reason}); engines run on the processor"
    if reading.state is not GpuState.OK:
        raise WorkerError(f"NVIDIA's driver: {reading.reason or f'no answer within {_DRIVER_S:.0f} s'}.")
    lost = [card.name or f"card {card.index}" for card in reading.cards if card.is_lost]
    if lost:
        raise WorkerError(f"{', '.join(lost)} fell off the bus, or waits for a reset. Restart the machine.")
    cards = ", ".join(f"{card.name} with {format_bytes(card.memory_total_bytes or 0)}" for card in reading.cards)
    return f"{reading.driver_version}: {cards or 'no card'}"


def torch_build(device: str) -> str:
    """Asked in a process of its own: this one never loads torch.

    Raises:
        WorkerError: It cannot be imported, or does not see the device that was asked for.
    """
    command = [sys.executable, "-m", "longtake.worker.torch_report"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TORCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise WorkerError(f"torch was not imported after {_TORCH_S:.0f} s.") from None
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    if done.returncode != 0:
        raise WorkerError(f"torch cannot be imported: {lines[-1] if lines else f'exit code {done.returncode}'}")
    found = json.loads(done.stdout.splitlines()[-1])
    told = f"{found['version']}, " + (f"built for CUDA {found['cuda']}" if found["cuda"] else "built without CUDA")
    told += f", sees {', '.join(found['devices'])}" if found["devices"] else ", sees no card"
    if device.startswith("cuda") and not found["devices"]:
        raise WorkerError(f"torch is {told}, but the device {device} was asked for. {found['reason'] or ''}".strip())
    return told
