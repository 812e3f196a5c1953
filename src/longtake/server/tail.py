"""The audio of a job from a given byte on, whichever file it lies in at the moment. Knows no HTTP."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from longtake.core.errors import InvariantError, NotFoundError
from longtake.delivery import audio_path
from longtake.jobs.folder import DataFolder
from longtake.jobs.records import Job
from longtake.jobs.states import ENDED, State
from longtake.jobs.store import JobStore
from longtake.server.backend import Beat
from longtake.server.errors import BrokenStreamError
from longtake.server.hop import Hop
from longtake.server.playback import Playback

BLOCK_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Look:
    """A job, and the bytes that came since the look before.

    The job was read first: when it had ended, all of its bytes were there, so no bytes then means the end.
    """

    job: Job
    data: bytes

    @property
    def is_complete(self) -> bool:
        return self.job.state is State.DONE and not self.data

    @property
    def is_broken(self) -> bool:
        """It ended without being done, and all that was spoken has been read."""
        return self.job.state in ENDED and self.job.state is not State.DONE and not self.data


class Tail:
    """Follows the audio of one job.

    A worker that takes over writes the same bytes into a file of another name, from the first on. So the place is kept
    as a number of bytes, and goes with the reader from file to file. One coroutine at a time; `close` from anywhere.

    Args:
        offset: Where to begin, in bytes.
        playback: Told of what the listener gets.
    """

    def __init__(
        self,
        store: JobStore,
        folder: DataFolder,
        in_store: Hop,
        job_id: str,
        offset: int = 0,
        *,
        playback: Playback | None = None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._in_store = in_store
        self._job_id = job_id
        self._offset = offset
        self._playback = playback
        self._cut_token: int | None = None
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._is_closed = False
        self._lock = threading.Lock()  # a look may be under way in its thread while its reader is cancelled

    async def look(self) -> Look:
        """What there is now; returns at once.

        Raises:
            NotFoundError: The job was deleted.
            InvariantError: The finished file is missing, or is not as long as it was said to be; or the job is spoken
                again from some point, and what was read may be of another take.
        """
        look = await self._in_store(self._look)
        if self._playback is not None:
            self._playback.sent(len(look.data))
        return look

    async def blocks(self, give_up: Callable[[Job], str | None] = lambda job: None) -> AsyncIterator[bytes]:
        """All that is still to come, waiting where the worker is slower than the reader; ends when the job is done.

        Args:
            give_up: Asked while nothing comes; gives the reason to wait no longer.

        Raises:
            BrokenStreamError: It will never be complete, or was given up.
        """
        beat = Beat()
        while True:
            try:
                look = await self.look()
            except (NotFoundError, InvariantError) as error:
                raise BrokenStreamError(str(error)) from error
            if look.is_broken:
                raise BrokenStreamError(f"The job {self._job_id} is {look.job.state}; its audio ends in the middle.")
            if look.is_complete:
                return
            if look.data:
                yield look.data
                beat = Beat()
                continue
            reason = give_up(look.job)
            if reason is not None:
                raise BrokenStreamError(reason)
            await beat.wait()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._drop_file()

    def _look(self) -> Look:
        job = self._store.job(self._job_id)
        with self._lock:
            if self._is_closed:
                return Look(job, b"")
            if self._cut_token is None:
                self._cut_token = job.cut_token
            elif self._cut_token != job.cut_token:
                raise InvariantError(f"The job {job.id} is spoken again from some point. Ask for its audio anew.")
            self._follow(job)
            data = self._file.read(BLOCK_BYTES) if self._file is not None else b""
            self._offset += len(data)
        if job.state is State.DONE and not data and self._offset != job.audio_bytes:
            raise InvariantError(
                f"The audio of {job.id} ends at byte {self._offset}, not at {job.audio_bytes}, as its worker said."
            )
        return Look(job, data)

    def _follow(self, job: Job) -> None:
        path = audio_path(self._folder, job)
        if path is None or path == self._path:
            return  # without a new file the old one is read on: it stays readable even when it was renamed or deleted
        try:
            file = path.open("rb")
        except FileNotFoundError:  # renamed since: the next look finds it under its new name
            return
        self._drop_file()
        file.seek(self._offset)  # perhaps beyond its end: then nothing comes until it has grown so far
        self._file, self._path = file, path

    def _drop_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._path = None
