"""What the probe says of real cards, against `nvidia-smi` in the same second."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from longtake.monitor.probes.nvml import NvmlSession, load_nvml

pytestmark = pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="there is no NVIDIA driver")

FIELDS = (
    "uuid,name,memory.total,memory.used,temperature.gpu,power.draw,power.limit,"
    "clocks.sm,clocks.mem,utilization.gpu,pcie.link.gen.current,pcie.link.width.current"
)


def smi() -> list[list[str]]:
    command = ["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    return [[word.strip() for word in line.split(",")] for line in lines]


def near(told: str, found: float | None, unit: float, within: float) -> None:
    """Both know it and agree, or neither knows."""
    if told.startswith("["):
        assert found is None, told
    else:
        assert found is not None, told
        assert abs(float(told) * unit - found) <= within, (told, found)


def test_every_value_is_the_one_that_nvidia_smi_shows() -> None:
    session = NvmlSession(load_nvml(), {})
    session.read(is_thorough=True)  # the first look wakes a card that sleeps
    before = smi()
    cards = session.read(is_thorough=True)
    session.close()
    assert len(before) == len(cards)
    for row, card in zip(before, cards, strict=True):
        uuid, name, total, used, celsius, watts, limit, sm, memory, use, generation, lanes = row
        assert (card.uuid, card.name, card.is_lost) == (uuid, name, False)
        near(total, card.memory_total_bytes, 1 << 20, 1 << 20)
        # nvidia-smi leaves out what the driver reserves for itself.
        near(used, card.memory_used_bytes, 1 << 20, 2 << 30)
        near(celsius, card.temperature_celsius, 1, 3)
        near(watts, card.power_watts, 1, 60)
        near(limit, card.power_limit_watts, 1, 1)
        near(sm, card.sm_clock_hz, 1e6, 500e6)
        near(memory, card.memory_clock_hz, 1e6, 10e6)
        near(use, card.utilisation_ratio, 1e-2, 0.3)
        near(generation, card.pcie_generation, 1, 0)
        near(lanes, card.pcie_lanes, 1, 0)
