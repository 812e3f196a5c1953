"""``longtake quantize``: what it tells, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from longtake.cli.quantize import quantize
from longtake.core.errors import InputError
from longtake.engines.vibevoice.weights.shapes import config_of
from tests.support.checkpoints import write_checkpoint


def run(*words: object) -> str:
    return CliRunner().invoke(quantize, [str(word) for word in words], catch_exceptions=False).output


def test_a_folder_that_can_be_loaded_is_made(tmp_path: Path) -> None:
    toy, small = write_checkpoint(tmp_path / "toy"), tmp_path / "small"
    told = json.loads(run(toy, "--dtype", "int4+head", "-o", small, "--json"))
    assert (told["folder"], told["dtype"], told["files"]) == (str(small), "int4+head", 1)
    assert told["bytes_after"] == sum(path.stat().st_size for path in small.glob("*.safetensors"))
    assert str(config_of(str(small)).quantization) == "int4+head"
    assert f"--model {tmp_path / 'other'}" in run(toy, "--dtype", "int8", "-o", tmp_path / "other")


def test_what_cannot_be_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int8 or int4"):
        run("random:tiny", "--dtype", "int8", "-o", tmp_path / "small")


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written: Not a directory") as refused:
        run(write_checkpoint(tmp_path / "toy"), "--dtype", "int8", "-o", tmp_path / "file" / "small")
    assert refused.value.param == "out"
