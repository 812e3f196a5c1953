from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch

from longtake.core.errors import NotFoundError
from longtake.engines.vibevoice.network.model import VibeVoiceModel, build_meta
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS
from longtake.engines.vibevoice.weights.random_model import build_random, build_random_encoder
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from longtake.nn.affine import pack_all
from tests.support import golden


@pytest.fixture(scope="module")
def tiny() -> VibeVoiceModel:
    return build_random("tiny", dtype=torch.float32, device="cpu")


@pytest.mark.parametrize(("size", "values"), [("1.5b", 2_704_021_987), ("7b", 9_343_355_363)])
def test_the_real_shapes(size: str, values: int) -> None:
    """As many values as the released models have, but four rows of the head instead of all or none."""
    config = CONFIGS[size]
    model = build_meta(config)
    width, vocabulary = config.decoder.hidden_size, config.decoder.vocab_size
    head = 4 * width - (vocabulary * width if size == "7b" else 0)

    assert sum(tensor.numel() for tensor in model.state_dict().values()) == values + head
    assert config.window == (65_536 if size == "1.5b" else 32_768)


def test_small_is_narrow_and_deep() -> None:
    config = CONFIGS["small"]

    assert (config.decoder.hidden_size, config.decoder.num_hidden_layers, config.decoder.head_dim) == (256, 6, 64)
    assert config.acoustic.depths == (3, 3, 3, 3, 3, 3, 8)
    assert config.semantic.latent_dim == 128
    assert build_meta(config).weights_bytes < 500e6


def written(tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """All that is read: of the embedding the rows of bytes and of control tokens, and the latter repeat the former."""
    for name, tensor in tensors.items():
        yield name, tensor[:256] if name.endswith("embed_tokens.weight") else tensor


def test_every_weight_is_written(tiny: VibeVoiceModel) -> None:
    for name, tensor in written(tiny.state_dict()):
        assert tensor.isfinite().all(), name
        if tensor.numel() > 1:
            assert 0 < tensor.std() < 1.1, name
            assert np.unique(tensor.numpy()).size > 0.9 * min(tensor.numel(), 1000), name


def test_scales_are_those_of_the_golden_rule(tiny: VibeVoiceModel) -> None:
    """Except the audio's, which is made softer."""
    for name, tensor in written(tiny.state_dict()):
        if "qkv" in name or "gate_up" in name or "control" in name or "_factor" in name or "decoder.head" in name:
            continue
        theirs = golden.toy_weights()[f"model.{name}"]
        if tensor.numel() > 500:
            assert tensor.mean().item() == pytest.approx(theirs.mean().item(), abs=0.05), name
            assert tensor.std().item() == pytest.approx(theirs.std().item(), rel=0.15), name


def test_the_same_every_time_and_in_every_type(tiny: VibeVoiceModel) -> None:
    again = build_random("tiny", dtype=torch.bfloat16, device="cpu", codec_dtype=torch.float32)

    first = dict(written(tiny.state_dict()))
    for name, tensor in written(again.state_dict()):
        assert torch.equal(tensor, first[name].to(tensor.dtype)), name
    assert (again.dtype, again.codec_dtype) == (torch.bfloat16, torch.float32)
    assert again.speech_scaling_factor.item() == pytest.approx(0.7)


def test_the_first_numbers_never_change(tiny: VibeVoiceModel) -> None:
    """Golden: measurements on random models stay comparable, and other machines make the same."""
    first = [-0.03333475440740585, 0.09172452986240387, 0.04495099559426308, -0.0016250284388661385]
    weight = tiny.get_parameter("prediction_head.cond_proj.weight").flatten()

    assert weight[:4].tolist() == pytest.approx(first, abs=1e-7)


def test_no_two_parameters_are_alike(tiny: VibeVoiceModel) -> None:
    layers = [tiny.get_parameter(f"language_model.layers.{layer}.mlp.down_proj.weight") for layer in range(3)]

    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert abs(torch.corrcoef(torch.stack([layers[a].flatten(), layers[b].flatten()]))[0, 1]) < 0.05
    embedding = tiny.language_model.embed_tokens.weight
    assert len({tuple(row) for row in embedding[:256, :8].tolist()}) == 256
    assert len({tuple(embedding[token, :8].tolist()) for token in CONTROL_TOKENS}) == 4


def test_the_encoder_alone_is_the_models(tiny: VibeVoiceModel) -> None:
    encoder = build_random_encoder("tiny", dtype=torch.float32, device="cpu")
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, tiny.state_dict()[f"acoustic_tokenizer.encoder.{name}"]), name


@torch.inference_mode()
def test_the_audio_is_noise_of_a_bounded_level(tiny: VibeVoiceModel) -> None:
    """Of any level that latents have: 0.02 to 0.2 of full scale, no peak beyond it, no constant part."""
    decoder = tiny.acoustic_tokenizer.decoder
    for scale in (0.3, 1.0, 3.0):
        state = decoder.init_state(1, torch.float32)
        latents = torch.from_numpy(golden.stream("latents", 30 * 64)).float().view(1, 30, 64) * scale
        wave = decoder.step(latents, state)

        assert 0.02 < wave.std() < 0.2
        assert wave.abs().max() < 1.0
        assert abs(wave.mean()) < 0.02


def test_an_unknown_size() -> None:
    with pytest.raises(NotFoundError, match=r"no model random:3b\. Known: random:tiny, random:small, random:1\.5b"):
        build_random("3b", dtype=torch.float32, device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_it_counts_the_bytes_that_it_had(dtype: torch.dtype) -> None:
    model = build_random("tiny", dtype=dtype, device="cpu")
    before = model.weights_bytes
    pack_all(model)
    assert before <= model.weights_bytes <= 1.01 * before
    assert model.dtype == model.codec_dtype == dtype
