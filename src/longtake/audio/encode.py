"""Encodes int16 audio into a file that others may read while it grows. Knows neither jobs nor loudness."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av.audio.format import AudioFormat as SampleFormat
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from longtake.audio.formats import OPUS_PAGE_S, AudioFormat, Pcm, Recipe
from longtake.core.disk import disk_error
from longtake.core.errors import InvariantError
from longtake.core.units import SAMPLE_RATE_HZ

_BLOCK_SAMPLES = SAMPLE_RATE_HZ
"""Small chunks are gathered to this size: one call into FFmpeg then yields ~40 MP3 frames instead of one."""

_MAX_FRAME_SAMPLES = 1 << 20
_FILE_BUFFER_BYTES = 1 << 18


class Encoder:
    """Writes one finished file, growing.

    The bytes depend on the samples and the format alone, not on how the samples were cut into chunks: FFmpeg's encoders
    get frames of their own size from a FIFO, and bit-exact mode leaves out versions, dates and random serial numbers.
    Memory stays bounded by the largest chunk. One thread at a time.

    Args:
        file: A path, which is truncated and closed by this class; or a binary file object, which stays open.
            WAV and FLAC need it to be seekable, the other four only ever append.
        audio_format: What to write.

    Raises:
        DiskFullError: The folder has no room. Every method may raise it; after that only `abort` makes sense.
        WorkerError: Any other I/O error, likewise.
    """

    def __init__(self, file: Path | BinaryIO, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._path = file if isinstance(file, Path) else _name_of(file)
        self._owns = isinstance(file, Path)
        try:
            self._file = file.open("wb", buffering=_FILE_BUFFER_BYTES) if isinstance(file, Path) else file
        except OSError as error:
            raise disk_error(error, self._path) from error
        recipe = audio_format.recipe
        self._sink = _PatchedSink(self._file) if recipe.is_patched else _Sink(self._file)
        self._waiting: list[Pcm] = []
        self._waiting_samples = 0
        self._fed_samples = 0
        self._encoded_s = 0.0
        self._visible_s = 0.0
        self._is_open = True
        try:
            # flush_packets: every packet reaches our sink at once, so that `flush` has nothing hidden in libavformat.
            options = {"fflags": "+bitexact", "flush_packets": "1", **recipe.muxer_options}
            self._container = av.open(self._sink, "w", format=recipe.container, options=options)
            self._stream = _add_stream(self._container, recipe)
            self._container.start_encoding()
        except Exception as error:
            self.abort()
            self._raise_io(error)
            raise

    @property
    def samples(self) -> int:
        """Samples taken so far."""
        return self._fed_samples + self._waiting_samples

    @property
    def visible_seconds(self) -> float:
        """Seconds of audio that a reader of the file can decode since the last `flush`, rounded down where in doubt."""
        return self._visible_s

    def write(self, pcm: Pcm) -> None:
        """Take a chunk of any length (int16, 24 kHz, shape (samples,)). The array may be reused afterwards."""
        self._check_open()
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise InvariantError(f"The encoder takes int16 of one dimension, not {pcm.dtype} of shape {pcm.shape}.")
        if pcm.size == 0:
            return
        self._waiting.append(pcm.copy() if pcm.size < _BLOCK_SAMPLES else pcm)
        self._waiting_samples += pcm.size
        if self._waiting_samples >= _BLOCK_SAMPLES:
            self._encode_waiting()

    def flush(self) -> None:
        """Make everything encoded so far visible to readers of the file.

        What stays behind is what the format cannot show yet: less than two encoder frames (100 ms), and for Opus
        one whole and one unfinished Ogg page (up to 1 s).
        """
        self._check_open()
        self._encode_waiting()
        try:
            self._file.flush()
        except OSError as error:
            raise disk_error(error, self._path) from error
        if self._format is AudioFormat.OPUS:
            whole_pages = math.floor(self._encoded_s / OPUS_PAGE_S)
            self._visible_s = max(whole_pages - 1, 0) * OPUS_PAGE_S  # the last one waits in the muxer
        else:
            self._visible_s = self._encoded_s

    def close(self) -> None:
        """Write what is left, patch the header of WAV and FLAC, flush; a file that was opened by path is closed."""
        self._check_open()
        self._encode_waiting()
        try:
            self._mux(self._stream.encode(None))
            self._container.close()
            self._file.flush()
            if self._owns:
                self._file.close()
        except Exception as error:
            self._raise_io(error)
            raise
        self._raise_io(None)
        self._is_open = False
        self._visible_s = self._fed_samples / SAMPLE_RATE_HZ

    def abort(self) -> None:
        """Let go of everything and leave the bytes as they are. Never raises; may be called twice."""
        self._is_open = False
        self._sink.is_deaf = True
        if hasattr(self, "_container"):
            with contextlib.suppress(Exception):
                self._container.close()
        if self._owns:
            with contextlib.suppress(OSError):
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        elif self._is_open:
            self.close()

    def _encode_waiting(self) -> None:
        if not self._waiting:
            return
        block = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting, self._waiting_samples = [], 0
        try:
            for start in range(0, block.size, _MAX_FRAME_SAMPLES):
                self._mux(self._stream.encode(self._frame(block[start : start + _MAX_FRAME_SAMPLES])))
        except Exception as error:
            self._raise_io(error)
            raise
        self._raise_io(None)

    def _frame(self, pcm: Pcm) -> AudioFrame:
        gain = self._format.recipe.gain
        if gain == 1.0:
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm)[np.newaxis], format="s16", layout="mono")
        else:
            scaled = pcm[np.newaxis].astype(np.float32) * np.float32(gain / 32768)
            frame = AudioFrame.from_ndarray(scaled, format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = self._fed_samples
        self._fed_samples += pcm.size
        return frame

    def _mux(self, packets: Iterable[Packet[AudioStream]]) -> None:
        last_tick, tick_s = 0, None
        for packet in packets:
            if packet.pts is not None:
                last_tick = max(last_tick, packet.pts + (packet.duration or 0))
                # PyAV makes a fraction of it anew at each look, which took an eighth of the encoder's time.
                tick_s = packet.time_base if tick_s is None else tick_s
            self._container.mux(packet)
        if tick_s is not None:
            # An encoder's first packets lie before zero: its run-in, which a player hears as silence or skips.
            self._encoded_s = max(self._encoded_s, float(last_tick * tick_s))

    def _raise_io(self, error: Exception | None) -> None:
        # FFmpeg may report a failed write late, or by another number: the sink's own note is the truth.
        cause = self._sink.failure or (error if isinstance(error, OSError) else None)
        if cause is not None:
            raise disk_error(cause, self._path) from cause

    def _check_open(self) -> None:
        if not self._is_open:
            raise InvariantError("This encoder is closed.")


def _add_stream(container: OutputContainer, recipe: Recipe) -> AudioStream:
    options = {"flags": "+bitexact", "threads": "1", **recipe.codec_options}
    stream = container.add_stream(recipe.codec, rate=SAMPLE_RATE_HZ, options=options, layout="mono")
    if not isinstance(stream, AudioStream):
        raise InvariantError(f"{recipe.codec} is no audio encoder.")
    stream.codec_context.format = SampleFormat(recipe.sample_format)
    if recipe.bit_rate is not None:
        stream.codec_context.bit_rate = recipe.bit_rate
    return stream


class _Sink:
    """What FFmpeg writes to. Remembers the first I/O error; has no `seek`, so FFmpeg cannot patch anything."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: OSError | None = None
        self.is_deaf = False

    def write(self, data: bytes) -> int:
        if self.is_deaf or self.failure is not None:
            return len(data)
        try:
            self._file.write(data)
        except OSError as error:
            self.failure = error
            raise
        return len(data)


class _PatchedSink(_Sink):
    """The same for WAV and FLAC, whose header is rewritten at the end."""

    def seek(self, offset: int, whence: int = 0) -> int:
        if self.is_deaf or self.failure is not None:
            return 0
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            self.failure = error
            raise

    def tell(self) -> int:
        return 0 if self.is_deaf or self.failure is not None else self._file.tell()


def _name_of(file: BinaryIO) -> Path | None:
    name = getattr(file, "name", None)
    return Path(name) if isinstance(name, str) else None
