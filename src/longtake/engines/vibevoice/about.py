"""What is known of VibeVoice without loading it. Imports no torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from longtake.core.errors import InputError
from longtake.core.records import EngineInfo, PassageShape
from longtake.engines.base import Engine, EngineAbout, Loads
from longtake.engines.vibevoice.network.config import SAMPLES_PER_FRAME, VibeVoiceConfig
from longtake.engines.vibevoice.network.quantization import read_dtype
from longtake.engines.vibevoice.planning.budget import FRAMES_PER_S, MAX_ACTIVE, PAST_PASSAGES, least_rows, passage_cap
from longtake.engines.vibevoice.planning.footprint import SIZES, kv_bytes
from longtake.engines.vibevoice.settings import read_settings
from longtake.engines.vibevoice.trace import cut_trace
from longtake.engines.vibevoice.weights.config_file import load_config
from longtake.engines.vibevoice.weights.shapes import config_of

# Dialogues of the reference run at 180 words a minute at most; a voice brings its own pace, and finished jobs teach it.
# Chinese: characters a minute of ordinary reading aloud.
_PACES: Mapping[str, float] = MappingProxyType({"en": 170.0, "zh": 250.0, "*": 160.0})
WINDOW, SMALL_WINDOW = 65_536, 32_768  # of 1.5B and of 7B

INFO = EngineInfo(
    name="vibevoice",
    title="VibeVoice",
    shape=PassageShape.DIALOGUE,
    max_speakers=4,
    max_passage_characters=1_000_000,
    max_active=MAX_ACTIVE,
    paces=_PACES,
    keeps_traces=True,
    past_passages=PAST_PASSAGES,
    speaks_recordings=True,
    changes_speed=False,
    uses_gpu=True,
)


_KV_SIZES = {name: sizes.model for name, sizes in SIZES.items()}  # bytes of a number in keys and values


def _kv_size(loads: Loads, otherwise: int) -> int:
    """Of what is told, or of what is left to the engine."""
    if loads.kv_dtype == "int8":
        return 1
    with suppress(InputError):  # the engine refuses it
        return _KV_SIZES.get(read_dtype(loads.dtype)[1], otherwise)
    return otherwise


@functools.cache
def _known_config(model: str | None) -> VibeVoiceConfig | None:
    """None for a model whose size shows only when it is loaded."""
    try:
        return config_of(model)
    except InputError:
        return None


def is_random(model: str | None) -> bool:
    return model is not None and model.startswith("random:")


@functools.cache
def window_of(model: str | None) -> int:
    """Positions of that model's window, without loading it; when nothing tells, the smaller one of those that exist."""
    if model is None:
        return WINDOW
    if Path(model).expanduser().is_dir():
        return load_config(Path(model).expanduser()).window
    name = model.lower().rpartition("/")[2]
    return WINDOW if "1.5b" in name or name.startswith(("random:tiny", "random:small")) else SMALL_WINDOW


class VibeVoiceAbout(EngineAbout):
    """Implements `EngineAbout`. Its voices are recordings, which the voices room keeps."""

    @property
    def info(self) -> EngineInfo:
        return INFO

    def passage_cap(
        self,
        characters: int,
        expected_s: float,
        settings: Mapping[str, Any],
        loads: Loads,
        budget_bytes: int | None = None,
    ) -> int:
        room = None
        if budget_bytes is not None and (config := _known_config(loads.model)) is not None:
            room = budget_bytes // kv_bytes(config.decoder, 1, _kv_size(loads, max(_KV_SIZES.values())))
        return passage_cap(
            characters,
            expected_s,
            read_settings(settings),
            window_of(loads.model),
            is_bytes=is_random(loads.model),
            room=room,
        )

    def least_bytes(self, expected_s: float, recordings_s: float, loads: Loads) -> int:
        config = _known_config(loads.model)
        if config is None:
            return 0
        rows = least_rows(expected_s, int(recordings_s * FRAMES_PER_S), config.window)
        size = _kv_size(loads, min(_KV_SIZES.values()))  # what is left to the engine may be the smaller one
        return kv_bytes(config.decoder, rows.positions, size)

    def cut_trace(self, trace: bytes, samples: int) -> tuple[bytes, int]:
        kept, frames = cut_trace(trace, samples // SAMPLES_PER_FRAME)
        return kept, frames * SAMPLES_PER_FRAME

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        read_settings(settings)

    def load(self, options: Mapping[str, Any]) -> Engine:
        try:
            from longtake.engines.vibevoice.load import load_engine  # here: torch takes seconds to import
        except ModuleNotFoundError as error:
            raise InputError(
                f"VibeVoice needs {error.name}, which is not installed. Install it with: pip install "
                "'longtake[vibevoice]'",
                code="not_installed",
            ) from error

        return load_engine(
            INFO,
            model=options.get("model"),
            device=options.get("device", "auto"),
            dtype=options.get("dtype", "auto"),
            kv_dtype=options.get("kv_dtype", "auto"),
            adapter=options.get("lora"),
            graphs=options.get("graphs", True),
            voices=Path(options["voices"]),
        )
