"""Which weights spoke: the same in any shards and on any device, others when a number, a name or an adapter differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from longtake.core.errors import InputError
from longtake.engines.vibevoice.about import INFO
from longtake.engines.vibevoice.load import load_engine
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.trace import FINGERPRINT_BYTES, Weights, read_trace
from longtake.engines.vibevoice.weights.checkpoint import weight_files
from longtake.engines.vibevoice.weights.fingerprint import of_checkpoint, of_random
from tests.support import golden
from tests.support.checkpoints import write_checkpoint
from tests.unit.engines.vibevoice.conftest import WEIGHTS, Bench, Said, ask, build_bench

Tensors = dict[str, torch.Tensor]


def toy() -> Tensors:
    """A few tensors of it: what is told apart is files."""
    names = sorted(golden.toy_weights())[:20]
    return {name: golden.toy_weights()[name] for name in names}


def fingerprint(folder: Path, adapter: Path | None = None) -> bytes:
    return of_checkpoint(folder / "config.json", weight_files(folder), adapter)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    found = fingerprint(write_checkpoint(tmp_path_factory.mktemp("plain"), toy()))
    assert len(found) == FINGERPRINT_BYTES
    return found


def test_shards_are_the_same_weights(tmp_path: Path, plain: bytes) -> None:
    assert fingerprint(write_checkpoint(tmp_path, toy(), shards=3)) == plain


def test_a_config_that_is_only_written_otherwise_is_the_same(tmp_path: Path, plain: bytes) -> None:
    write_checkpoint(tmp_path, toy())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(dict(reversed(config.items())), indent=7))
    assert fingerprint(tmp_path) == plain
    config["decoder_config"]["rope_theta"] = 1.0
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert fingerprint(tmp_path) != plain


def scaled(tensors: Tensors) -> None:
    """A fine-tune of one matrix: nothing in the files' headers tells it."""
    name = max(tensors, key=lambda each: tensors[each].numel())
    tensors[name] = tensors[name] * 1.01


def shorter(tensors: Tensors) -> None:
    name = max(tensors, key=lambda each: tensors[each].numel())
    tensors[name] = tensors[name][1:].clone()


def half(tensors: Tensors) -> None:
    name = min(tensors)
    tensors[name] = tensors[name].half()


def renamed(tensors: Tensors) -> None:
    tensors["other"] = tensors.pop(min(tensors))


@pytest.mark.parametrize("change", [scaled, shorter, half, renamed])
def test_other_weights_are_told_apart(tmp_path: Path, plain: bytes, change: Callable[[Tensors], None]) -> None:
    tensors = toy()
    change(tensors)
    assert fingerprint(write_checkpoint(tmp_path, tensors)) != plain


def test_an_adapter_makes_other_weights(tmp_path: Path, plain: bytes) -> None:
    model, adapter = write_checkpoint(tmp_path / "model", toy()), tmp_path / "adapter"
    adapter.mkdir()
    found = {plain, of_random("tiny")}
    for number, alpha in ((1.0, 6), (2.0, 6), (1.0, 7)):
        save_file({"a.lora_A.weight": torch.full((4, 4), number)}, adapter / "adapter_model.safetensors")
        (adapter / "adapter_config.json").write_text(json.dumps({"lora_alpha": alpha}))
        found |= {fingerprint(model, adapter), of_random("tiny", adapter)}
    assert len(found) == 8


def test_random_weights_have_their_names() -> None:
    assert of_random("tiny") == of_random("tiny") != of_random("small")


def test_what_a_loaded_engine_speaks_says_with_what(tmp_path: Path) -> None:
    fp32, bf16 = (
        load_engine(INFO, voices=tmp_path, model="random:tiny", device="cpu", dtype=dtype) for dtype in ("fp32", "bf16")
    )
    assert fp32._weights == bf16._weights == Weights(of_random("tiny"), "random:tiny")
    assert fp32.place == "random:tiny on cpu, float32"


# In a trace


def half_spoken(bench: Bench) -> bytes:
    bench.engine.start(ask())
    for _ in range(4):
        bench.engine.step()
    trace = bench.engine.trace("r")
    bench.engine.stop("r")
    return trace


@pytest.fixture
def other(tiny: VibeVoiceModel) -> Bench:
    return build_bench(tiny, weights=Weights(b"other!!!", "random:small"))


def test_every_piece_says_who_spoke_it(bench: Bench) -> None:
    bench.engine.start(ask())
    pieces = []
    for _ in range(3):
        bench.engine.step()
        bench.engine.step()
        pieces.append(bench.engine.trace("r"))
        assert bench.engine.trace("r") == b""
    assert [read_trace(piece).weights for piece in pieces] == [(WEIGHTS,)] * 3
    assert read_trace(b"".join(pieces)).weights == (WEIGHTS,)
    assert len(read_trace(b"".join(pieces)).tokens) == 6


def test_a_passage_begun_with_other_weights_is_refused_with_both_names(bench: Bench, other: Bench) -> None:
    request = replace(ask(), trace=half_spoken(bench))
    for ask_again in (other.engine.cost, other.engine.start):
        with pytest.raises(InputError) as refused:
            ask_again(request)
        assert refused.value.code == "other_weights"
        for words in (
            f"begun with random:test (weights {WEIGHTS.fingerprint.hex()})",
            "now it is to go on with random:small (weights 6f7468657221",
            "--model random:test",
            "`longtake resume JOB --from 0:00`",
        ):
            assert words in refused.value.message
    assert other.is_empty()
    (rest,) = bench.speak(request)
    assert rest.end is not None


def test_a_past_of_other_weights_is_refused(bench: Bench, other: Bench) -> None:
    (before,) = bench.speak(first := ask("1"))
    second = ask("2", index=1, past=((first.passage, before.trace),))
    with pytest.raises(InputError, match="begun with random:test"):
        other.engine.start(second)
    assert bench.speak(second)[0].end is not None


def test_another_device_or_type_goes_on(bench: Bench) -> None:
    from longtake.engines.vibevoice.weights.random_model import build_random

    trace = half_spoken(bench)
    spoken = read_trace(trace).frames
    half = build_bench(build_random("tiny", dtype=torch.bfloat16, device="cpu"))
    said = {"r": Said()}
    half.engine.start(replace(ask(), trace=trace))
    assert half.speak_all(said) == {}
    (whole,) = bench.speak(ask())
    assert said["r"].pcm.size == whole.pcm.size - spoken * 3200
    assert np.abs(said["r"].pcm).max() > 0
