"""What is known of VibeVoice without loading it. Imports no torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from longtake.core.errors import InputError
from longtake.core.records import EngineInfo, PassageShape, Voice
from longtake.engines.base import Engine
from longtake.engines.vibevoice.budget import MAX_ACTIVE, PAST_PASSAGES, passage_cap
from longtake.engines.vibevoice.config import SAMPLES_PER_FRAME
from longtake.engines.vibevoice.config_file import load_config
from longtake.engines.vibevoice.settings import read_settings
from longtake.engines.vibevoice.trace import cut_trace

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
)


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


class VibeVoiceAbout:
    """Implements `EngineAbout`. Its voices are recordings, which the voices room keeps."""

    @property
    def info(self) -> EngineInfo:
        return INFO

    def voices(self) -> tuple[Voice, ...]:
        return ()

    def find_voice(self, voice_id: str) -> Voice | None:
        return None

    def default_voices(self, languages: Mapping[int, str]) -> dict[int, str]:
        return {}

    def passage_cap(
        self, characters: int, expected_s: float, settings: Mapping[str, Any], model: str | None = None
    ) -> int:
        return passage_cap(characters, expected_s, read_settings(settings), window_of(model), is_bytes=is_random(model))

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
            adapter=options.get("lora"),
            voices=Path(options["voices"]),
        )
