"""Thin binding to the espeak-ng shared library. Knows neither our voice ids nor our sample rate.

Licence: espeak-ng is GPL-3. It is no part of this program: `espeakng_loader` brings it as a separate shared library,
which is loaded here at run time, and only in the worker process of the espeak engine.

The same text must give the same samples whatever was spoken before, and when. Three things stand in the way, each with
its own cure, all of them in `Library.reload`; measured over 241 languages and variants, in one process and in two:

* hidden static state (flutter, the phase of the wave). Only a fresh mapping clears it, Terminate + Initialize does not;
  unloading and loading take 0.2 ms.
* the library's own noise (f2, whisper), which Initialize seeds with the second of the clock: ``espeak_ng_SetRandSeed``.
* libc's ``rand`` of this process, which a few voices use (reed, caleb): ``srand``.
"""

from __future__ import annotations

import _ctypes
import ctypes
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from longtake.core.errors import EngineError, InvariantError

LIBRARY_RATE_HZ = 22_050

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000  # an error comes back as a value; without it the library calls exit()
_POSITION_CHARACTER = 1
# UTF-8 and nothing else: no espeakSSML, no espeakPHONEMES, so a script's "<voice>" or "[[...]]" stays text.
_CHARS_UTF8 = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_PARAMETER_WORD_GAP = 7
_OK = 0
_NOISE_SEED = 1
_MAX_PATH_BYTES = 159  # measured: with a longer data path it does not start; a deep home folder has one
# Control characters become spaces: Ctrl-A would begin an embedded command, NUL would end the text.
_CONTROLS = {code: " " for code in (*range(0x20), 0x7F) if code not in (0x09, 0x0A, 0x0D)}


class _EventId(ctypes.Union):
    _fields_: ClassVar = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h, API revision 12."""

    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class WordStart:
    """Where a word begins: `character` counts from 0 in the text, `sample` from 0 at 22,050 Hz."""

    character: int
    sample: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one call of `Library.say` gave. `pcm_T`: int16, mono, 22,050 Hz; empty when the text has nothing to say."""

    pcm_T: NDArray[np.int16]  # noqa: N815  (shape suffix)
    words: tuple[WordStart, ...]


class Library:
    """The one espeak-ng of this process.

    Not safe to use from two threads. `close` it before another is made.

    Args:
        library_path: The shared library; None means the one that `espeakng_loader` brings.
        data_path: The folder of voices and dictionaries that goes with it.

    Raises:
        InvariantError: There is a Library in this process already.
        EngineError: The shared library cannot be loaded, or something else in this process holds it.
    """

    _owner: ClassVar[Library | None] = None

    def __init__(self, library_path: Path | None = None, data_path: Path | None = None) -> None:
        if Library._owner is not None:
            raise InvariantError("espeak-ng is already loaded in this process: close the first Library, or use it.")
        self._path = str(library_path or espeakng_loader.get_library_path())
        self._short_cut: tempfile.TemporaryDirectory[str] | None = None
        self._data = self._short(str(data_path or espeakng_loader.get_data_path()))
        self._pcm: list[bytes] = []
        self._words: list[WordStart] = []
        self._libc = ctypes.CDLL(None)  # the process itself, in which libc's ``srand`` is found
        self._callback = _SynthCallback(self._receive)
        self._dll: ctypes.CDLL | None = None
        if self._is_mapped():
            raise EngineError("espeak-ng is held by another part of this process, so its state cannot be cleared.")
        self._load()
        Library._owner = self

    def reload(self) -> None:
        """Put the library into the state of a fresh process.

        Raises:
            EngineError: It could not be unloaded (something else holds it) or not be loaded again.
        """
        self._unload()
        self._load()

    def set_voice(self, identifier: str) -> None:
        """Choose the voice by espeak-ng's identifier, such as ``gmw/en-US+f2``.

        Raises:
            EngineError: espeak-ng has no such voice.
        """
        if self._handle().espeak_SetVoiceByName(identifier.encode()) != _OK:
            raise EngineError(f"espeak-ng cannot set its voice {identifier!r}.", code="voice_failed")

    def set_manner(self, *, words_per_minute: int, pitch: int = 50, word_gap: int = 0) -> None:
        """Set rate (80 to 450, above it espeak-ng compresses samples), pitch (0 to 99), word gap (units of 10 ms)."""
        handle = self._handle()
        for parameter, value in (
            (_PARAMETER_RATE, words_per_minute),
            (_PARAMETER_PITCH, pitch),
            (_PARAMETER_WORD_GAP, word_gap),
        ):
            if handle.espeak_SetParameter(parameter, value, 0) != _OK:
                raise EngineError(f"espeak-ng refused parameter {parameter} = {value}.")

    def say(self, text: str) -> Spoken:
        """Speak plain text (never markup) with the voice and manner set before.

        Raises:
            EngineError: espeak-ng reported an error.
        """
        self._pcm.clear()
        self._words.clear()
        # A lone surrogate cannot be UTF-8; it becomes "?", one character as before, so positions hold.
        data = text.translate(_CONTROLS).encode(errors="replace") + b"\0"
        status = self._handle().espeak_Synth(data, len(data), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        if status != _OK:
            raise EngineError(f"espeak-ng could not speak a text of {len(text)} characters (status {status}).")
        pcm_T = np.frombuffer(b"".join(self._pcm), dtype=np.int16)  # noqa: N806
        return Spoken(pcm_T, tuple(self._words))

    def close(self) -> None:
        """Unload; a second call does nothing."""
        if self._dll is not None:
            self._unload()
        if self._short_cut is not None:
            self._short_cut.cleanup()
            self._short_cut = None
        if Library._owner is self:
            Library._owner = None

    def _short(self, data_path: str) -> str:
        if len(os.fsencode(data_path)) <= _MAX_PATH_BYTES:
            return data_path
        self._short_cut = tempfile.TemporaryDirectory(prefix="espeak-")
        link = Path(self._short_cut.name) / "data"
        link.symlink_to(data_path, target_is_directory=True)
        return str(link)

    def _handle(self) -> ctypes.CDLL:
        if self._dll is None:
            raise InvariantError("espeak-ng is used after close().")
        return self._dll

    def _load(self) -> None:
        try:
            dll = ctypes.CDLL(self._path)
        except OSError as error:
            raise EngineError(f"The espeak-ng library cannot be loaded: {error}") from error
        dll.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        dll.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        dll.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
        dll.espeak_SetSynthCallback.argtypes = [_SynthCallback]
        dll.espeak_SetSynthCallback.restype = None
        dll.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        dll.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.POINTER(ctypes.c_uint),
            ctypes.c_void_p,
        ]
        self._dll = dll
        rate_hz = dll.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, os.fsencode(self._data), _INITIALIZE_DONT_EXIT)
        if rate_hz != LIBRARY_RATE_HZ:
            self._unload()
            raise EngineError(f"espeak-ng did not start with the data folder {self._data} (status {rate_hz}).")
        dll.espeak_ng_SetRandSeed(_NOISE_SEED)
        self._libc.srand(_NOISE_SEED)
        dll.espeak_SetSynthCallback(self._callback)

    def _unload(self) -> None:
        dll, self._dll = self._handle(), None
        dll.espeak_Terminate()
        _ctypes.dlclose(dll._handle)
        if self._is_mapped():
            raise EngineError("espeak-ng stayed loaded: another part of this process holds it, and its state with it.")

    def _is_mapped(self) -> bool:
        try:
            probe = ctypes.CDLL(self._path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        except OSError:
            return False
        _ctypes.dlclose(probe._handle)  # the probe itself counted as a user
        return True

    def _receive(self, wav: Any, count: int, events: Any) -> int:
        """Called by espeak-ng during `say`, in the same thread. Returns 0: go on."""
        if count > 0 and wav:
            self._pcm.append(ctypes.string_at(wav, count * 2))
        index = 0
        while events and events[index].type != _EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type == _EVENT_WORD:
                self._words.append(WordStart(event.text_position - 1, event.sample))
            index += 1
        return 0
