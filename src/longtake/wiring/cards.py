"""The graphics cards of the host: watched, limited in power, and given time to cool. One start, one end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from longtake.config import Settings
from longtake.core.clock import Clock
from longtake.engines.base import EngineAbout
from longtake.jobs.store import JobStore
from longtake.monitor.probes.gpus import GpuWatch
from longtake.wiring.heat import HeatKeeper
from longtake.wiring.power import PowerLimit


class Cards:
    """
    Attributes:
        gpus: What the cards say.
        heat: What follows from it.
    """

    def __init__(
        self,
        settings: Settings,
        engines: Sequence[EngineAbout],
        store: JobStore,
        note: Path,
        tell: Callable[[str, str], None],
        clock: Clock,
    ) -> None:
        """
        Args:
            note: Where it is written down what the cards had before their power was limited.
            tell: (engine, order) sends it to the engine's worker, if one lives.
        """
        may_heat = settings.engine.device.partition(":")[0] in ("auto", "cuda")
        heating = [engine.info.name for engine in engines if may_heat and engine.info.uses_gpu]
        self.gpus = GpuWatch(clock)
        self.heat = HeatKeeper(self.gpus, store, heating, tell, settings.heat, clock)
        self._power = PowerLimit(self.gpus, note, settings.heat.power_limit_watts)

    def start(self) -> None:
        self.gpus.start()
        self._power.apply()
        self.heat.start()

    def close(self) -> None:
        """The cards have their own power limits again; a driver that hangs delays this by a few seconds at most."""
        self.heat.close()
        self._power.restore()
        self.gpus.close()
