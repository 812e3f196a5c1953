"""Files of weights: whole, cut off, missing, other than the hub gave."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.vibevoice.weights.integrity import check_files, find_local


def shard(body: bytes = b"0123") -> bytes:
    about = {"w": {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}, "__metadata__": {"a": "b"}}
    header = json.dumps(about).encode()
    return len(header).to_bytes(8, "little") + header + body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards, one with a note of huggingface_hub about it."""
    weights = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    for name in weights.values():
        (tmp_path / name).write_bytes(shard())
    notes = tmp_path / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    digest = hashlib.sha256(shard()).hexdigest()
    (notes / f"{weights['a']}.metadata").write_text(f"commit\n{digest}\n1795263356.1\n")
    (notes / f"{weights['b']}.metadata").write_text('commit\n"a-git-etag"\n1795263356.1\n')
    return tmp_path


def test_whole_files(folder: Path) -> None:
    found = check_files(folder, is_thorough=False)
    assert (found.files, found.bytes, found.known) == (2, 2 * len(shard()), 0)
    assert check_files(folder, is_thorough=True).known == 1


def test_a_blob_of_the_cache_bears_its_checksum(tmp_path: Path) -> None:
    blob = tmp_path / hashlib.sha256(shard()).hexdigest()
    blob.write_bytes(shard())
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "model.safetensors").symlink_to(blob)
    assert check_files(snapshot, is_thorough=True).known == 1
    blob.write_bytes(shard(b"0124"))
    assert check_files(snapshot, is_thorough=False).files == 1
    with pytest.raises(InputError, match="its SHA-256 begins"):
        check_files(snapshot, is_thorough=True)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (shard()[:-1], r"it has \d+ bytes, and should have \d+"),
        (shard() + b"x", r"it has \d+ bytes, and should have \d+"),
        (b"", "does not begin as"),
        (b"\xff" * 100, "does not begin as"),
        ((9).to_bytes(8, "little") + b"{not json", "table of tensors"),
        ((2).to_bytes(8, "little") + b"[]", "table of tensors"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, data: bytes, told: str) -> None:
    (folder / "model-2-of-2.safetensors").write_bytes(data)
    with pytest.raises(InputError, match=rf"model-2-of-2.safetensors is damaged: {told}|{told}"):
        check_files(folder, is_thorough=False)


def test_a_missing_shard_and_a_folder_without_weights(folder: Path, tmp_path: Path) -> None:
    (folder / "model-1-of-2.safetensors").unlink()
    with pytest.raises(InputError, match=r"model-1-of-2.safetensors is damaged: it is missing"):
        check_files(folder, is_thorough=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file of weights"):
        check_files(tmp_path / "empty", is_thorough=False)


def test_what_is_on_this_machine(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_local(str(folder)) == folder
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "nowhere"))
    assert find_local("nobody/nothing-of-the-kind") is None
    with pytest.raises(NotFoundError):
        find_local("no such name")
