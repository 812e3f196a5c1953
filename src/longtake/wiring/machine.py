"""What the host knows of its machine, for the server's watch."""

from __future__ import annotations

from longtake.monitor import Machine
from longtake.monitor.probes.host import HostProbe
from longtake.wiring.host import Host


def machine_of(host: Host) -> Machine:
    """For the one thread that looks at it."""

    def workers() -> dict[int, str]:
        return {each.pid: each.engine for each in host.statuses() if each.pid is not None}

    probe = HostProbe(host.folder.root, workers, host.clock)
    return Machine(host.cards.gpus.reading, probe, lambda: host.cards.heat.status, host.clock)
