"""What the host knows of its machine and its cards, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from longtake.monitor import Samples
from longtake.monitor.probes.host import HostProbe
from longtake.monitor.readings import of_gpus, of_host
from longtake.wiring.host import Host

ACTIONS = ("hold", "pause", "go", "resumed")


def figures_of(host: Host) -> Sequence[Callable[[], Samples]]:
    """Sources for the server's watch, each quick. The probe of the machine belongs to the thread that asks."""
    probe = HostProbe(
        host.folder.root,
        lambda: {each.pid: each.engine for each in host.statuses() if each.pid is not None},
        host.clock,
    )
    return (
        lambda: of_host(probe.read()),
        lambda: of_gpus(host.cards.gpus.reading()),
        lambda: _heat(host),
    )


def _heat(host: Host) -> Samples:
    status = host.cards.heat.status
    return {
        "longtake_heat_level": {(): int(status.heat.level)},
        "longtake_heat_actions_total": {(action,): status.actions.get(action, 0) for action in ACTIONS},
    }
