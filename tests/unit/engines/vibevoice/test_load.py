"""Which device and which type; what is not there is told before anything is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.registry import about
from longtake.engines.vibevoice import load
from longtake.engines.vibevoice.about import INFO, window_of
from longtake.engines.vibevoice.load import choose_device, choose_dtype, load_engine
from longtake.engines.vibevoice.trace import Weights
from longtake.engines.vibevoice.weights.fingerprint import of_checkpoint
from tests.support import golden
from tests.support.checkpoints import TOKENIZER, write_checkpoint


@pytest.mark.parametrize("asked", ["gpu", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there_is_told(asked: str) -> None:
    with pytest.raises(InputError, match="cannot be used") as refused:
        choose_device(asked)
    assert refused.value.param == "device"


def test_auto_takes_what_there_is() -> None:
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_dtype("fp16", torch.device("cpu"), 1) is torch.float16
    with pytest.raises(InputError, match="fp32, fp16, bf16"):
        choose_dtype("int8", torch.device("cpu"), 1)


@pytest.mark.parametrize(
    ("computes_in_bf16", "parameters", "dtype"),
    [
        (False, 500, torch.float32),
        (False, 501, torch.bfloat16),
        (True, 250, torch.float32),
        (True, 251, torch.bfloat16),
    ],
)
def test_a_cpu_takes_fp32_where_it_is_not_slower_or_bf16_would_be(
    monkeypatch: pytest.MonkeyPatch, computes_in_bf16: bool, parameters: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(load, "free_host_bytes", lambda: 4000)
    flags = {"avx512_bf16": computes_in_bf16, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert choose_dtype("auto", torch.device("cpu"), parameters) is dtype


@pytest.mark.parametrize(("is_native", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_that_only_imitates_bf16_takes_fp16(
    monkeypatch: pytest.MonkeyPatch, is_native: bool, dtype: torch.dtype
) -> None:
    asked: list[torch.device] = []

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        asked.append(device)
        yield

    def is_supported(including_emulation: bool = True) -> bool:
        return is_native or including_emulation

    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert choose_dtype("auto", torch.device("cuda:1"), 1) is dtype
    assert asked == [torch.device("cuda:1")], "of several cards, the one that speaks"


def test_weights_that_are_no_numbers_are_told_at_load(tmp_path: Path) -> None:
    weights = dict(golden.toy_weights())
    bad = [name for name in weights if name.endswith(("cond_proj.weight", "layers.1.self_attn.k_proj.bias"))]
    assert len(bad) == 2
    for name, value in zip(bad, (float("nan"), float("-inf")), strict=True):
        weights[name] = weights[name].clone()
        weights[name].view(-1)[3] = value
    folder = write_checkpoint(tmp_path / "model", weights)
    shutil.copy(TOKENIZER, folder)
    with pytest.raises(InputError, match="not finite") as refused:
        load_engine(INFO, voices=tmp_path, model=str(folder), device="cpu", dtype="fp32")
    assert refused.value.code == "bad_checkpoint"
    assert "cond_proj.weight" in refused.value.message
    assert "layers.1.self_attn.qkv_proj.bias" in refused.value.message


def test_all_is_told_to_the_card_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else events are recorded on the first card, which waits for nothing, and the host reads what is not there yet."""

    class Chosen(Exception):
        pass

    def choose(device: torch.device) -> None:
        raise Chosen(device)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", choose)
    with pytest.raises(Chosen, match="cuda:1"):
        load_engine(INFO, voices=tmp_path, model="random:tiny", device="cuda:1", dtype="fp32")


def test_a_checkpoint_speaks_with_its_fingerprint(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    shutil.copy(TOKENIZER, folder)
    engine = load_engine(INFO, voices=tmp_path, model=str(folder), device="cpu", dtype="fp32")
    found = of_checkpoint(folder / "config.json", [folder / "model.safetensors"])
    assert engine._weights == Weights(found, str(folder))


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
