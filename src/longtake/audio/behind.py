"""Encoding in a thread of its own, behind the thread that joins and levels: together they are most of espeak's work.

FFmpeg lets go of Python's lock while it encodes, so two cores share it. Knows neither jobs nor loudness.
"""

from __future__ import annotations

import os
import queue
import sys
import threading

from longtake.audio.encode import Encoder
from longtake.audio.formats import Pcm
from longtake.core.units import SAMPLE_RATE_HZ

_MOST_WAITING = 4
"""Blocks, each of about a second: the one who writes waits when so many do."""
_FLUSH_EVERY_SAMPLES = SAMPLE_RATE_HZ
NICENESS = 5
"""Of its thread, above the process's own: where cores are few, whoever asks the server is answered first."""


class EncoderBehind:
    """An encoder that works on while its owner goes on. What fails there is raised by the next call here.

    Readers see what was written as soon as nothing more waits, and every second before. One thread owns it, and must
    end it with `close` or `abort`.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._blocks: queue.Queue[Pcm | None] = queue.Queue(_MOST_WAITING)
        self._failure: BaseException | None = None
        self._is_deaf = False
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    @property
    def visible_seconds(self) -> float:
        """As of `Encoder`; grows by itself."""
        return self._encoder.visible_seconds

    def write(self, pcm: Pcm) -> None:
        """Hand over samples (int16, 24 kHz, shape (samples,)); the array is the encoder's from now on."""
        self._raise()
        self._blocks.put(pcm)

    def close(self) -> None:
        """Encode what waits, and close the file. Whatever went wrong since the last call is raised."""
        self._end()
        self._raise()
        self._encoder.close()

    def abort(self, *, drain: bool) -> None:
        """Let go of everything. Never raises.

        Args:
            drain: First encode what waits, for readers.
        """
        self._is_deaf = not drain
        self._end()
        self._encoder.abort()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._blocks.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere niceness is the whole process's
            os.nice(NICENESS)
        unflushed = 0
        while (pcm := self._blocks.get()) is not None:
            if self._is_deaf or self._failure is not None:
                continue  # until the end, so that nobody waits for room
            try:
                self._encoder.write(pcm)
                unflushed += pcm.size
                if unflushed >= _FLUSH_EVERY_SAMPLES or self._blocks.empty():
                    self._encoder.flush()
                    unflushed = 0
            except BaseException as error:  # a border: the owner is told
                self._failure = error
