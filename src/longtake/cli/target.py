"""Where the audio is to go: the file's name, what it says of the format, and the finished file put there."""

from __future__ import annotations

import errno
import os
import stat
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from longtake.audio import AudioFormat, commit_file, parse_format
from longtake.core.errors import DiskFullError, InputError, LongtakeError, WorkerError
from longtake.delivery import audio_path, subtitles_of
from longtake.jobs.records import Job
from longtake.wiring import Host

_BLOCK_BYTES = 1 << 20
_LONGEST_NAME = 50  # in characters: of four bytes each, they and a suffix still fit a file's name


def default_target(script: str, audio_format: str | None) -> Path:
    """``SCRIPT.mp3``, here."""
    suffix = parse_format(audio_format).suffix if audio_format else ".mp3"
    return Path(("speech" if script == "-" else Path(script).stem) + suffix)


def target_of(job: Job) -> Path:
    """Where the job's audio was asked to go; a job that came over HTTP is named after its title, here."""
    if job.out_path is not None:
        return Path(job.out_path)
    suffix = parse_format(job.spec.response_format).suffix
    name = _file_name(job.spec.title)
    path = Path((name or job.id) + suffix)
    return path if not path.exists() else Path("-".join(filter(None, (name, job.id))) + suffix)


def _file_name(title: str) -> str:
    """``Good evening, Zoë!`` → ``good-evening-zoë``; letters of any writing, with their marks."""
    text = unicodedata.normalize("NFC", title).lower()
    words = "".join(each if unicodedata.category(each)[0] in "LMN" else " " for each in text).split()
    return "-".join(words)[:_LONGEST_NAME].strip("-")


def format_of(out: Path, asked: str | None) -> AudioFormat:
    """
    Raises:
        InputError: It was not asked for, and the name does not tell it.
    """
    if asked is not None:
        return parse_format(asked)
    found = _told_by(out)
    if found is None:
        raise InputError(
            f"The format cannot be told from {out.name!r}. End it in {', '.join(sorted(_by_suffix()))}, or give "
            "--format.",
            code="unknown_format",
            param="out",
        )
    return found


def require_same_format(out: Path, job: Job) -> None:
    """
    Raises:
        InputError: The name promises another format than the job has.
    """
    has, told = parse_format(job.spec.response_format), _told_by(out)
    if told not in (None, has) and str(out.absolute()) != job.out_path:
        raise InputError(
            f"{out} would be {told}, but the job {job.id} is made as {has}. End the name in {has.suffix}, or say the "
            f"script again with -o {out}.",
            code="other_format",
            param="out",
        )


def _told_by(out: Path) -> AudioFormat | None:
    return _by_suffix().get(out.suffix.lower())


def _by_suffix() -> dict[str, AudioFormat]:
    return {audio_format.suffix: audio_format for audio_format in AudioFormat} | {".ogg": AudioFormat.OPUS}


def require_writable(out: Path, subtitles: Collection[str]) -> None:
    """
    Raises:
        InputError: Nothing can be put there.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder. Name a file.", code="cannot_write", param="out")
    if _is_special(out):
        if not os.access(out, os.W_OK):
            raise InputError(f"{out} cannot be written: you may not.", code="cannot_write", param="out")
        if subtitles:
            raise InputError(
                f"{out} is no ordinary file, and subtitles lie beside one. Leave --subtitles out.",
                code="cannot_write",
                param="subtitles",
            )
        return
    if out.suffix.lower().removeprefix(".") in subtitles:
        raise InputError(
            f"{out} is the name that the subtitles get. Name the audio file otherwise.",
            code="cannot_write",
            param="out",
        )
    folder = out.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(
            f"{out} cannot be written: {folder} is no folder that you may write to. Name another file with -o.",
            code="cannot_write",
            param="out",
        )


def is_standard_output(out: Path) -> bool:
    try:
        return os.path.samestat(out.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # there is no such file, or no standard output
        return False


def _is_special(path: Path) -> bool:
    """A device, a pipe: it is written into, because a file renamed over it would take its place."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def deliver(host: Host, job: Job, target: Path, subtitles: Iterable[str], *, remedy: str) -> None:
    """Put the finished file where it was asked for, and the subtitles beside it: each whole or not at all.

    Args:
        remedy: The command that delivers it again, and elsewhere.

    Raises:
        InputError: The target cannot be written.
        DiskFullError: It has no room.
        WorkerError: The finished file cannot be read.
    """
    source = audio_path(host.folder, job)
    if source is None:
        raise WorkerError(f"The finished file of {job.id} has gone. Make it again with: {remedy}")
    _sweep(target, job)
    pieces = {target: _blocks(source)}
    for kind in subtitles:
        pieces[target.with_suffix(f".{kind}")] = map(str.encode, subtitles_of(host.store, job, kind))
    for path, blocks in pieces.items():
        try:
            _write(path, blocks, job)
        except OSError as error:
            kind_of_error = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else InputError
            raise kind_of_error(
                f"{path} cannot be written: {error.strerror or error}. The audio is safe; deliver it elsewhere with: "
                f"{remedy}",
                code="cannot_write",
                param="out",
            ) from error
    with suppress(LongtakeError):  # a store that is full or busy: at the worst, `resume` delivers once more
        host.store.note_delivered(job.id)


def _write(path: Path, blocks: Iterator[bytes], job: Job) -> None:
    """
    Raises:
        OSError: It cannot be written.
        WorkerError: A block cannot be read.
    """
    if _is_special(path):
        with path.open("wb") as file:
            file.writelines(blocks)
        return
    final = path.resolve()  # a link stays one
    tmp = final.with_name(_tmp_name(job, final.suffix))
    try:
        with tmp.open("wb") as file:
            file.writelines(blocks)
        try:
            commit_file(tmp, final, "copy")
        except LongtakeError as error:  # it speaks of the data folder
            raise error.__cause__ or error from None
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise


def _blocks(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise WorkerError(f"{source} cannot be read: {error.strerror or error}.", code="read_failed") from error


def _sweep(target: Path, job: Job) -> None:
    """Remove what a delivery that was killed left half-written."""
    asked = [Path(job.out_path)] if job.out_path else []
    for folder in {path.resolve().parent for path in (target, *asked)}:
        for left in folder.glob(_tmp_name(job, "*")):
            with suppress(OSError):
                left.unlink()


def _tmp_name(job: Job, suffix: str) -> str:
    return f".{job.id}{suffix[:8]}.tmp"
