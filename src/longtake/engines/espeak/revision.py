"""What decides espeak's samples beside the request: library, data, our own code around them. Knows no request."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import av
import espeakng_loader

_OUR_CODE = ("longtake.engines.espeak", "longtake.script")  # the second cuts a text into languages


@functools.cache
def revision() -> str:
    """Of the library and the data that `espeakng_loader` brings. Reads 18 MB, once a process: 50 ms."""
    return revision_of(Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path()))


def revision_of(library: Path, data: Path) -> str:
    """A digest that changes when a byte of library, data or our code does, or FFmpeg's resampling, or the machine.

    By content and not by version: a dictionary that somebody has mended speaks otherwise under the same version.
    """
    digest = hashlib.blake2b(digest_size=16)
    # A few voices draw from the C library's generator; FFmpeg resamples, and changes the pace.
    ffmpeg = (av.library_versions[name] for name in ("libswresample", "libavfilter"))
    digest.update(repr((platform.machine(), platform.libc_ver(), *ffmpeg)).encode())
    digest.update(library.read_bytes())
    files = {path.relative_to(data).as_posix(): path for path in data.rglob("*") if path.is_file()}
    _add(digest, sorted(files.items()))
    for package in _OUR_CODE:
        code = {file.name: file for file in resources.files(package).iterdir() if file.name.endswith(".py")}
        _add(digest, sorted(code.items()))
    return f"espeak-ng-{digest.hexdigest()}"


def _add(digest: hashlib.blake2b, files: Iterable[tuple[str, Path | Traversable]]) -> None:
    for name, file in files:
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
