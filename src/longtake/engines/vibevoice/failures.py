"""In words of ours: what failed below us, whom it concerns, and what helps. Knows no model."""

from __future__ import annotations

import torch

from longtake.core.errors import CapacityError, EngineError, InvariantError, WorkerError
from longtake.core.memory import free_host_bytes
from longtake.core.units import format_bytes, format_duration
from longtake.engines.base import OUT_OF_MEMORY, SpeakRequest
from longtake.engines.vibevoice.planning.budget import FRAMES_PER_S
from longtake.nn.faults import free_device_bytes

_GOES_ON = "What was spoken is kept, and goes on in a fresh worker"


def no_room(error: Exception, row_bytes: int, device: torch.device) -> CapacityError:
    """
    Args:
        row_bytes: What the request holds in keys and values.
    """
    free = free_device_bytes(device)
    return CapacityError(
        f"There is no room on {device}: a passage asks for {format_bytes(row_bytes)} of keys and values, beside its "
        f"voices and what a beat needs for a moment, and {format_bytes(free_host_bytes() if free is None else free)} "
        f"are free ({_told(error)}). Free memory there, or give a smaller --memory-budget, so that fewer passages are "
        "spoken at once; a smaller model or --dtype bf16 takes less.",
        code=OUT_OF_MEMORY,
    )


def broken(error: Exception, place: str) -> WorkerError:
    """A device that is beyond use for this process."""
    return WorkerError(f"The device failed while {place} spoke ({_told(error)}). {_GOES_ON}.")


def lost_step(error: Exception, streams: int, place: str) -> WorkerError:
    """A step of the model that failed for all who took part in it."""
    return WorkerError(
        f"A step of {streams} passages failed with {place} ({_told(error)}). {_GOES_ON}; if it fails there, too, give "
        "a smaller --memory-budget or another --device."
    )


def not_finite(error: Exception, request: SpeakRequest, frames: int, place: str) -> EngineError:
    """One passage whose numbers are none any more."""
    return EngineError(
        f"Passage {request.passage.index + 1} cannot be spoken on: after {format_duration(frames / FRAMES_PER_S)} "
        f"{error} ({place}). If that is fp16, speak with --dtype bf16 or fp32; a guidance far from 1.3 may do it, too. "
        "Otherwise the weights are damaged: fetch them again.",
        code="not_finite",
    )


def mistake(error: Exception, request: SpeakRequest) -> InvariantError:
    """A bug, in one passage."""
    return InvariantError(
        f"longtake made a mistake in passage {request.passage.index + 1} ({_told(error)}). What was spoken is kept; "
        "the worker's log has the trace."
    )


def _told(error: Exception) -> str:
    """Its kind and its first line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
