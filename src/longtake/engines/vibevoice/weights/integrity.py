"""Whether the files of a checkpoint are whole, without loading them: by their own tables, and by the hub's checksums.

A safetensors file says how long it must be. What its bytes should be, it does not say; huggingface_hub does: in its
cache a blob bears its SHA-256 as its name, and beside a download into a folder lies a note with it. Knows no tensor.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from longtake.core.errors import InputError
from longtake.engines.vibevoice.weights.hub import parse_repository

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_HEADER = 100 << 20  # as safetensors has it
_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Integrity:
    """
    Attributes:
        known: Files whose SHA-256 was known, and right; 0 where they were not read.
    """

    files: int
    bytes: int
    known: int


def find_local(model: str) -> Path | None:
    """The folder of a checkpoint that is on this machine; None when it would have to be downloaded.

    Raises:
        InputError: It is no name of a model.
    """
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        return folder
    repository, revision = parse_repository(model)
    import huggingface_hub  # late: it takes 0.3 s

    found = huggingface_hub.try_to_load_from_cache(repository, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def check_files(folder: Path, *, is_thorough: bool) -> Integrity:
    """
    Args:
        is_thorough: Also read every byte of what has a known checksum; 5 GB take some seconds.

    Raises:
        InputError: A file is missing, cut off, or has other bytes than the hub gave.
    """
    files = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            wanted = {str(name) for name in json.loads(index.read_bytes())["weight_map"].values()}
        except (ValueError, KeyError, AttributeError) as error:
            raise _damaged(index, f"its table cannot be read ({error})") from error
        missing = sorted(wanted - {path.name for path in files})
        if missing:
            raise _damaged(folder / missing[0], f"it is missing, with {len(missing) - 1} others")
    if not files:
        raise _damaged(folder, "there is no file of weights in it")
    for path in files:
        _check_length(path)
    known = sum(_has_its_checksum(path) for path in files) if is_thorough else 0
    return Integrity(len(files), sum(path.stat().st_size for path in files), known)


def _check_length(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_MOST_HEADER, size):
            raise _damaged(path, "it does not begin as a safetensors file does")
        try:
            header = json.loads(file.read(length))
            ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise _damaged(path, "its table of tensors cannot be read") from error
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        raise _damaged(path, f"it has {size} bytes, and should have {wanted}")


def _has_its_checksum(path: Path) -> bool:
    """False when none is known.

    Raises:
        InputError: The file has another.
    """
    wanted = _checksum_of(path)
    if wanted is None:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != wanted:
        raise _damaged(path, f"its SHA-256 begins {digest.hexdigest()[:12]}, and the hub's {wanted[:12]}")
    return True


def _checksum_of(path: Path) -> str | None:
    blob = path.resolve().name
    if _SHA256.fullmatch(blob):
        return blob
    note = path.parent / ".cache" / "huggingface" / "download" / f"{path.name}.metadata"
    try:
        lines = note.read_text(encoding="utf-8").splitlines()  # commit, etag, time
    except OSError:
        return None
    etag = lines[1].strip() if len(lines) > 1 else ""
    return etag if _SHA256.fullmatch(etag) else None


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged: {why}.", code="damaged_checkpoint", param="model")
