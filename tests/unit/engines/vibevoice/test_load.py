"""Which device and which type; what is not there is told before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.registry import about
from longtake.engines.vibevoice.about import INFO, window_of
from longtake.engines.vibevoice.load import choose_device, choose_dtype, load_engine
from tests.support.checkpoints import write_checkpoint


@pytest.mark.parametrize("asked", ["gpu", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there_is_told(asked: str) -> None:
    with pytest.raises(InputError, match="cannot be used") as refused:
        choose_device(asked)
    assert refused.value.param == "device"


def test_auto_takes_what_there_is() -> None:
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_dtype("auto", torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert choose_dtype("fp16", torch.device("cpu")) is torch.float16
    with pytest.raises(InputError, match="fp32, fp16, bf16"):
        choose_dtype("int8", torch.device("cpu"))


def test_fp16_never_reaches_the_coders(tmp_path: Path) -> None:
    engine = load_engine(INFO, voices=tmp_path, model="random:tiny", device="cpu", dtype="fp16")
    assert (engine.model.dtype, engine.model.codec_dtype) == (torch.float16, torch.float32)
    assert engine.model.acoustic_tokenizer.encoder is None, "it is loaded when a voice is new"


def test_what_is_no_checkpoint_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"config\.json"):
        load_engine(INFO, voices=tmp_path, model=str(tmp_path), device="cpu")


def test_the_window_is_known_without_loading(tmp_path: Path) -> None:
    assert window_of(str(write_checkpoint(tmp_path / "model"))) == 65_536
    assert (window_of("microsoft/VibeVoice-1.5B"), window_of(None)) == (65_536, 65_536)
    assert (window_of("x/VibeVoice-Large"), window_of("random:7b")) == (32_768, 32_768)


def test_without_torch_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "longtake.engines.vibevoice.load", None)
    with pytest.raises(InputError, match=r"pip install 'longtake\[vibevoice\]'"):
        about("vibevoice").load({"voices": "x"})
