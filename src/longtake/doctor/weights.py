"""VibeVoice's weights on disk: whole, and what the hub says they are. Downloads nothing."""

from __future__ import annotations

from longtake.core.errors import InputError
from longtake.core.units import format_bytes
from longtake.engines.vibevoice.weights.hub import DEFAULT_MODEL
from longtake.engines.vibevoice.weights.integrity import check_files, find_local

REMEDY = "Delete the file that is named, and fetch it again."


def checkpoint(model: str | None, is_thorough: bool) -> str:
    """
    Raises:
        InputError: A file is damaged, cut off, or missing.
    """
    name = model or DEFAULT_MODEL
    if name.startswith("random:"):
        return f"{name}: made when they are loaded"
    folder = find_local(name)
    if folder is None:
        raise InputError(
            f"{name} is not on this machine; it is downloaded when a job needs it.", code="model_unavailable"
        )
    found = check_files(folder, is_thorough=is_thorough)
    told = f"{folder}: {found.files} files of weights, {format_bytes(found.bytes)}, whole by their tables"
    if not is_thorough:
        return f"{told}; --deep reads every byte"
    if not found.known:
        return f"{told}; whoever put them there left no checksum to compare with"
    return f"{told}; {found.known} of {found.files} have the checksum that the hub gave"
