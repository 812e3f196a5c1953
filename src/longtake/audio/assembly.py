"""The whole growing file of one job: join, level, encode. Knows neither jobs nor where passages come from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from longtake.audio.behind import EncoderBehind
from longtake.audio.encode import Encoder
from longtake.audio.formats import AudioFormat, Pcm
from longtake.audio.join import Joiner
from longtake.audio.loudness import Leveller, Loudness
from longtake.core.disk import disk_error
from longtake.core.units import SAMPLE_RATE_HZ

_BLOCK_SAMPLES = SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A finished file. ``samples`` at 24 kHz, silences included."""

    path: Path
    samples: int
    size_bytes: int


class Assembly:
    """Grows one part file, passage by passage.

    Opening truncates: after a crash the caller feeds all committed passages again and gets the identical bytes, since
    they depend on passages, silences, format and loudness alone. An hour of speech takes seconds. One thread at a time.

    Args:
        part: The file to grow; the caller renames it (`pcmfile.commit_file`) after `finish`.
        audio_format: Of the file.
        loudness: Anything but ``off`` delays what readers of the part can hear by 4 s.
        fade_s: Fade at the edges of each passage.
        before_block: Called before each block of at most about a second is encoded, silence included. What it raises
            ends the call that encodes, and only `abort` helps then.

    Raises:
        DiskFullError: The folder has no room. Every method but `abort` may raise it; after it only `abort` helps.
        WorkerError: Any other I/O error, likewise.
    """

    def __init__(
        self,
        part: Path,
        audio_format: AudioFormat,
        loudness: Loudness,
        *,
        fade_s: float = 0.005,
        before_block: Callable[[], None] = lambda: None,
    ) -> None:
        self._part = part
        self._before_block = before_block
        self._joiner = Joiner(fade_s)
        self._leveller = Leveller(loudness)
        self._encoder = EncoderBehind(Encoder(part, audio_format))
        self._waiting: list[Pcm] = []
        self._waiting_samples = 0
        self._is_open = True

    @property
    def samples(self) -> int:
        """Samples taken so far, silences included."""
        return self._joiner.samples

    @property
    def passage_starts(self) -> tuple[int, ...]:
        """Start sample of every passage added, in the finished file: what subtitles are made from."""
        return self._joiner.starts

    @property
    def written_seconds(self) -> float:
        """Seconds of audio that readers of the part can hear now. Never more than that."""
        return self._encoder.visible_seconds

    def add(self, silence_before_s: float, pcm: Iterable[Pcm]) -> None:
        """Append a passage after its silence; it is visible to readers of the part as soon as it is encoded.

        Args:
            silence_before_s: Seconds, rounded to the nearest sample.
            pcm: int16 at 24 kHz, chunks of any length; may be an hour long and is never held as a whole.
        """
        for joined in self._joiner.add(silence_before_s, pcm):
            self._before_block()
            self._encode(self._leveller.push(joined))
        self._hand_over()

    def finish(self) -> AudioFile:
        """Write what is still held, close the file, and make its bytes durable."""
        self._encode(self._leveller.finish())
        self._hand_over()
        self._encoder.close()
        self._is_open = False
        try:
            with self._part.open("rb+") as file:
                os.fsync(file.fileno())
                return AudioFile(self._part, self.samples, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise disk_error(error, self._part) from error

    def abort(self, *, keep: bool = False) -> None:
        """Close without finishing. Never raises; does nothing after `finish`.

        Args:
            keep: Leave the part where it is, for readers, with all that was added; otherwise it is removed.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._encoder.abort(drain=keep)
        if not keep:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leaving without `finish` aborts and keeps the part."""
        self.abort(keep=True)

    def _encode(self, blocks: Iterable[Pcm]) -> None:
        for block in blocks:
            self._waiting.append(block)
            self._waiting_samples += block.size
            if self._waiting_samples >= _BLOCK_SAMPLES:
                self._hand_over()

    def _hand_over(self) -> None:
        if self._waiting_samples:
            self._encoder.write(np.concatenate(self._waiting))  # a copy: what came in may be used again
        self._waiting, self._waiting_samples = [], 0
