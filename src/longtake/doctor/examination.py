"""The order of the checks: what others stand on comes first, and speaking last."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from longtake.config import Settings
from longtake.doctor import disk, machine, service, weights
from longtake.doctor.finding import Check, tried
from longtake.wire.doctor import Examined


def examine_served(settings: Settings) -> list[Examined]:
    """From within the server: it mends nothing, and leaves speaking to the worker that has its engine loaded."""
    checks = examine(settings, speaks=False)
    return [Examined(name=each.name, ok=each.is_ok, found=each.found, remedy=each.remedy) for each in checks]


def examine(
    settings: Settings, *, repair: bool = False, is_thorough: bool = False, speaks: bool = True
) -> Iterator[Check]:
    """
    Args:
        repair: First mend a damaged job store.
        is_thorough: Also read every byte of the weights.
        speaks: At last, load each engine and say a word.
    """
    yield machine.python()
    yield tried("ffmpeg", machine.ffmpeg, "Install longtake again: its audio library does not load.")
    yield tried("clock", machine.clock, "Set the clock of this machine: certificates, ages and the log go by it.")
    yield tried("fonts", machine.fonts, "Mend fontconfig.")
    yield tried("driver", partial(machine.driver, settings.engine.device), "Install or reload NVIDIA's driver.")
    if "vibevoice" in settings.engines:
        yield tried("torch", partial(machine.torch_build, settings.engine.device), machine.TORCH_REMEDY)
        yield tried("weights", partial(weights.checkpoint, settings.engine.model, is_thorough), weights.REMEDY)
    if repair:
        yield tried("repair", partial(service.repair, settings), "See the message; nothing was changed.")
    folder = tried("data folder", partial(disk.data_folder, settings), "Name another folder with --data.")
    yield folder
    if folder.is_ok:
        yield tried("disk speed", partial(disk.speed, settings), "Put the data folder on a quicker disk, with --data.")
    yield tried("port", partial(service.port, settings), "Choose another with --port, or stop what listens there.")
    yield tried("job store", partial(service.job_store, settings), "Keep the file as it is until it is mended.")
    yield service.crashes(settings)
    for engine in settings.engines if speaks else ():
        yield tried(
            f"speak {engine}", partial(service.speak, engine, settings), "See the message; try again after mending it."
        )
