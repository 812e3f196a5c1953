"""The data folder in use: who hosts it, how much room it has, which jobs are being deleted. Knows no row."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from longtake.core.disk import sync_folder
from longtake.core.errors import ConflictError, DiskFullError, InputError, LongtakeError
from longtake.core.units import format_bytes
from longtake.jobs.mounts import network_mount
from longtake.jobs.paths import FORGOTTEN, Paths

_TOKEN = re.compile(r"^(?:part|audio|[\d.]+)-(\d+)\.")
DISK_FLOOR_BYTES = 64 << 20
RESERVE_BYTES = 8 << 20
CUTTING = "cutting"


@dataclass(frozen=True, slots=True)
class Weight:
    """What the files of a job take.

    Attributes:
        own_bytes: Files with one name: they go with the job.
        shared: Files with several names, as a job and its earlier version have them; (device, inode) → bytes.
    """

    own_bytes: int
    shared: Mapping[tuple[int, int], int]


class DataFolder(Paths):
    """A data folder, made if it is missing, readable by its owner only."""

    def __init__(self, root: Path, *, floor_bytes: int = DISK_FLOOR_BYTES) -> None:
        """
        Raises:
            InputError: The folder cannot be made or written, or lies on a network file system.
        """
        super().__init__(root)
        self.floor_bytes = floor_bytes
        self.make_room: Callable[[int], None] = lambda needed_bytes: None  # asked before a job goes without
        self._lock: IO[str] | None = None
        self._require_local()
        try:
            for folder in (self.root, self.root / "jobs", self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self.root, self.root / "jobs", *filter(Path.exists, [self.database, self._host_file])):
                if not os.access(path, os.R_OK | os.W_OK):  # as on a file system that is mounted read-only
                    raise OSError(errno.EACCES, f"{path} cannot be written")
            for path in filter(Path.is_dir, [self.database, self._host_file]):
                raise OSError(errno.EISDIR, f"{path} is a folder, and a file belongs there")
        except OSError as error:
            raise InputError(
                f"The data folder {self.root} cannot be used: {error.strerror}. Mend it, or name another with --data.",
                code="data_folder",
                param="data",
            ) from error

    def _require_local(self) -> None:
        for folder in (self.root, self.root / "jobs"):  # the jobs alone may have been moved to a larger disk
            mount = network_mount(folder)
            if mount is not None:
                raise InputError(
                    f"The data folder {self.root} lies on a network file system: {mount.source} ({mount.type}) at "
                    f"{mount.point}. Neither locks nor the job store's log can be trusted there. Name a folder on a "
                    "local disk with --data; finished audio may go anywhere.",
                    code="network_file_system",
                    param="data",
                )

    def mark_forgotten(self, job_id: str) -> None:
        """Write down, durably, that the job is meant to be deleted: `removal` tells what for."""
        with suppress(OSError, LongtakeError):  # no files; or a full disk: deleting goes first
            mark = self.job(job_id) / FORGOTTEN
            mark.touch()
            sync_folder(mark.parent)

    @contextmanager
    def marked(self, job_id: str, mark: str) -> Iterator[None]:
        """The folder of a job bears a mark while the block runs, and keeps it if its process dies in the block:
        `removal.finish_removals` then clears up. The folder is made if it is missing.

        Raises:
            OSError: As the system says it.
        """
        folder = self.job(job_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / mark
        with path.open("w", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sync_folder(folder)
            try:
                yield
            except Exception:  # whoever failed clears up by itself; whoever is killed does not
                path.unlink(missing_ok=True)
                raise
            path.unlink(missing_ok=True)

    def has_mark(self, job_id: str, mark: str) -> bool:
        """Whether the folder bears a mark that nobody living holds."""
        try:
            with (self.job(job_id) / mark).open("r", encoding="utf-8") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # it has none, or it is held
            return False
        return True

    def unmark_forgotten(self, job_id: str) -> None:
        (self.job(job_id) / FORGOTTEN).unlink(missing_ok=True)

    def is_marked_forgotten(self, job_id: str) -> bool:
        return (self.job(job_id) / FORGOTTEN).exists()

    def files_by_token(self, job_id: str) -> list[tuple[Path, int]]:
        """What the workers wrote for a job, half-written files too, each with the token that it bears."""
        found = [*self.job(job_id).iterdir(), *self.passages(job_id).iterdir()]
        return [(path, int(token[1])) for path in found if (token := _TOKEN.search(path.name))]

    def remove_job(self, job_id: str) -> None:
        """Delete a job's files, the mark last; missing ones are fine. Its rows go first: `removal.remove_job`."""
        folder = self.job(job_id)
        with suppress(OSError):
            for path in folder.iterdir():
                if path.name != FORGOTTEN:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.rmtree(folder, ignore_errors=True)

    def remove_empty(self, job_id: str) -> bool:
        """Whether the job's folder held nothing, and is gone now."""
        try:
            with suppress(FileNotFoundError):
                self.passages(job_id).rmdir()
            self.job(job_id).rmdir()
        except OSError:
            return False
        return True

    def jobs_on_disk(self, *, with_forgotten: bool = False) -> list[str]:
        """The ids of all jobs that have files; those that are meant to be deleted only when they are asked for."""
        with os.scandir(self.root / "jobs") as entries:
            found = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        return [job_id for job_id in found if with_forgotten or not self.is_marked_forgotten(job_id)]

    def job_weight(self, job_id: str) -> Weight:
        """What a job's files take, by their lengths."""
        own, shared = 0, {}
        for folder, _, files in os.walk(self.job(job_id)):
            for name in files:
                with suppress(OSError):  # deleted since
                    found = os.lstat(os.path.join(folder, name))
                    if found.st_nlink == 1:
                        own += found.st_size
                    else:
                        shared[found.st_dev, found.st_ino] = found.st_size
        return Weight(own, shared)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free

    def disk_bytes(self) -> tuple[int, int]:
        """What is free for this process, and the size of the disk."""
        usage = shutil.disk_usage(self.root)
        return usage.free, usage.total

    def require_room(self, needed_bytes: int, what: str) -> None:
        """
        Raises:
            DiskFullError: ``needed_bytes`` above the floor are not free, even after `make_room`.
        """
        free = self.free_bytes()
        if free < needed_bytes + self.floor_bytes:
            # More than is missing: others are writing, too, and to make room takes a look through many files.
            self.make_room(needed_bytes + self.floor_bytes - free + self.floor_bytes // 4)
            free = self.free_bytes()
        if free < needed_bytes + self.floor_bytes:
            raise DiskFullError(
                f"{what} needs {format_bytes(needed_bytes)} in the data folder, and {format_bytes(self.floor_bytes)} "
                f"must stay free, but only {format_bytes(free)} are. Make room or name another folder with --data."
            )

    def has_room_to_spare(self, size_bytes: int) -> bool:
        """For what nobody needs. Twice the floor stays free, so that it is not given back a moment later."""
        return self.free_bytes() >= size_bytes + 2 * self.floor_bytes

    def keep_reserve(self) -> None:
        """Lay room aside, if there is enough: the store must be able to write that the disk is full."""
        if self._reserve.exists() or self.free_bytes() < 2 * self.floor_bytes:
            return
        with suppress(OSError), self._reserve.open("wb") as file:
            file.write(bytes(min(RESERVE_BYTES, self.floor_bytes // 2)))  # a small disk has a small floor

    def release_reserve(self) -> None:
        """The disk is full: give back what was laid aside."""
        with suppress(OSError):
            self._reserve.unlink()

    @property
    def _host_file(self) -> Path:
        return self.root / "host.lock"

    @property
    def _reserve(self) -> Path:
        return self.root / "reserve"

    def lock(self) -> bool:
        """Become the host of this folder; False when another living process is. Dies with the process.

        Raises:
            InputError: The file that is locked for it cannot be opened.
        """
        if self._lock is not None:
            return True
        try:
            handle = self._host_file.open("a+", encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{self._host_file} cannot be opened: {error.strerror}. Only one longtake at a time may serve a data "
                "folder, and that file shows which. Delete it or mend what is wrong with it, or name another folder "
                "with --data.",
                code="data_folder",
                param="data",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return False
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self._lock = handle
        return True

    def require_lock(self) -> None:
        """
        Raises:
            ConflictError: Another process is the host.
        """
        if not self.lock():
            raise ConflictError(
                f"Another longtake (process {self.host_pid() or 'unknown'}) already serves {self.root}. "
                "Stop it, or name another folder with --data.",
                code="already_served",
            )

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_hosted(self) -> bool:
        """Whether some living process is the host."""
        if not self._host_file.exists():
            return False
        with self._host_file.open("r", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def host_pid(self) -> int | None:
        """The process that hosts the folder, or hosted it last."""
        try:
            return int(self._host_file.read_text(encoding="utf-8") or 0) or None
        except (OSError, ValueError):
            return None
