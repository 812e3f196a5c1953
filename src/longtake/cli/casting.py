"""What --voice says: an id, or a file whose sound is wanted. Files are a matter of the command line alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from longtake.core.errors import InputError
from longtake.engines.base import EngineAbout
from longtake.intake import Intake


def voices_from_files(wanted: Mapping[str, str], intake: Intake, *, is_kept: bool) -> dict[str, str]:
    """The wanted voices, with the id of a recording in the place of each file.

    A voice of that very id goes first: a file ``de`` is named as ``./de``.

    Args:
        is_kept: Add files that are not among the recordings yet. Otherwise they must be.

    Raises:
        InputError: A file cannot be used as a recording, or the engine speaks with no recordings.
    """
    engine = intake.engine(None)
    return {
        who: _recording(Path(voice), engine, intake, is_kept=is_kept) if _is_file(voice, engine, intake) else voice
        for who, voice in wanted.items()
    }


def _is_file(voice: str, engine: EngineAbout, intake: Intake) -> bool:
    return intake.find_voice(engine, voice) is None and Path(voice).expanduser().is_file()


def _recording(path: Path, engine: EngineAbout, intake: Intake, *, is_kept: bool) -> str:
    path = path.expanduser()
    if not engine.info.speaks_recordings:
        raise InputError(
            f"{path} is a recording, and {engine.info.title} speaks with voices of its own (`longtake voices`). Choose "
            "an engine that speaks with recordings, with --engine.",
            code="no_recordings",
            param="voice",
        )
    if is_kept:
        return intake.recordings.add_or_find(path).id
    found = intake.recordings.find(path)
    if found is None:
        raise InputError(
            f"{path} is no voice yet, and checking a script keeps nothing. Add it with `longtake voices add {path}`.",
            code="unknown_voice",
            param="voice",
        )
    return found.id
