"""Shapes: F frames, D latent channels."""

from __future__ import annotations

import functools
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from longtake.core.errors import InvariantError
from longtake.engines.vibevoice.network import codec
from longtake.engines.vibevoice.network.codec import AcousticDecoder, Encoder
from longtake.engines.vibevoice.network.config import SAMPLES_PER_FRAME, CoderConfig
from longtake.nn.affine import Packable, pack_all
from longtake.nn.streaming import StreamState
from tests.support.golden import arrays, read_json, share_of_limit, toy_weights

torch.set_num_threads(1)
DEPTHS = (1, 1, 1, 1, 1, 1, 2)
END = 151653
Coder = Encoder | AcousticDecoder


@functools.cache
def toy(part: str) -> Coder:
    """``acoustic.encoder``, ``acoustic.decoder`` or ``semantic.encoder``, with the golden weights."""
    kind, side = part.split(".")
    config = CoderConfig(latent_dim=64 if kind == "acoustic" else 128, filters=4, depths=DEPTHS)
    coder = Encoder(config) if side == "encoder" else AcousticDecoder(config)
    start = f"model.{kind}_tokenizer.{side}."
    coder.load_state_dict({n.removeprefix(start): w for n, w in toy_weights().items() if n.startswith(start)})
    return coder


def fresh(coder: Coder, slots: int = 1) -> StreamState:
    return coder.init_state(slots, torch.float32)


def encoded(coder: Coder, wave: torch.Tensor, last: bool = False) -> torch.Tensor:
    """[T] → [F, D], in one call."""
    return coder.step(wave.view(1, 1, -1), fresh(coder), last=last)[0]


def decoded(coder: Coder, latents: torch.Tensor) -> torch.Tensor:
    """[F, D] → [T], in one call."""
    return coder.step(latents[None], fresh(coder)).flatten()


def streamed(coder: Coder, x: torch.Tensor, frames: list[int], reset_after: int | None = None) -> torch.Tensor:
    """As `encoded` or `decoded`, in pieces of so many frames."""
    size, over_time = (SAMPLES_PER_FRAME, 0) if isinstance(coder, Encoder) else (1, 1)
    state, outs = fresh(coder), []
    for number, piece in enumerate(torch.split(x, [size * count for count in frames]), 1):
        outs.append(coder.step(piece[None, None] if isinstance(coder, Encoder) else piece[None], state)[0])
        if number == reset_after:
            state.reset()
    return torch.cat(outs, over_time) if isinstance(coder, Encoder) else torch.cat(outs, 1).flatten()


def assert_golden(name: str, ours: torch.Tensor) -> None:
    assert share_of_limit("components", name, ours, arrays("components")[name]) <= 1


@pytest.mark.parametrize(("part", "name"), [("acoustic.encoder", "aenc_2s_mean"), ("semantic.encoder", "senc_2s")])
def test_encoders_are_the_reference(part: str, name: str) -> None:
    wave = arrays("components")["wave_2s"]
    assert_golden(name, encoded(toy(part), wave))
    assert_golden(f"{name}_streamed_1", streamed(toy(part), wave, [1] * 15))
    assert_golden(name.replace("2s", "small"), encoded(toy(part), wave * 0.001))


def test_the_acoustic_encoder_is_the_reference_in_uneven_pieces() -> None:
    wave = arrays("components")["wave_2s"]
    assert_golden("aenc_2s_mean_streamed_4", streamed(toy("acoustic.encoder"), wave, [4, 4, 4, 3]))


@pytest.mark.parametrize("length", [36000, 24001, 3199, 1, 6401])
def test_a_recording_that_ends_within_a_frame(length: int) -> None:
    encoder, wave = toy("acoustic.encoder"), arrays("components")["wave_2s"][:length]
    as_it_is = encoded(encoder, wave, last=True)
    assert_golden(f"aenc_len{length}_mean", as_it_is)
    padded = encoded(encoder, F.pad(wave, (0, -length % SAMPLES_PER_FRAME)))
    assert_golden(f"aenc_len{length}_zero_padded_mean", padded)
    assert not torch.allclose(as_it_is[-1], padded[-1], atol=1e-3), "padding the waveform is another thing"


def test_the_decoder_is_the_reference() -> None:
    decoder, latents = toy("acoustic.decoder"), arrays("components")["dec_latents"]
    assert_golden("dec_audio", decoded(decoder, latents))
    assert_golden("dec_audio_streamed_1", streamed(decoder, latents, [1] * 12))
    assert_golden("dec_audio_streamed_345", streamed(decoder, latents, [3, 4, 5]))
    assert_golden("dec_audio_reset_after_6", streamed(decoder, latents, [1] * 12, reset_after=6))
    assert_golden("dec_small_audio", decoded(decoder, latents * 0.001))


@pytest.mark.parametrize("case", "abcdefg")
def test_frames_of_whole_runs_with_a_reset_at_each_end(case: str) -> None:
    golden = arrays(f"case_{case}")
    decoder, encoder = toy("acoustic.decoder"), toy("semantic.encoder")
    sound, meaning = fresh(decoder), fresh(encoder)
    audio, semantic = [], []
    ends = [step for step, token in enumerate(golden["tokens"].tolist()) if token == END]
    steps = golden["frame_step"].tolist()
    for latent, before, step in zip(golden["vae_latent"], [-1, *steps], steps, strict=False):
        if any(before < end < step for end in ends):
            sound.reset()
            meaning.reset()
        wave = decoder.step(latent.view(1, 1, -1), sound)
        audio.append(wave.flatten())
        semantic.append(encoder.step(wave, meaning).flatten())
    assert share_of_limit("case", "audio", torch.stack(audio), golden["audio"]) <= 1
    assert share_of_limit("case", "semantic", torch.stack(semantic), golden["semantic"]) <= 1


@pytest.mark.parametrize("part", ["acoustic.encoder", "semantic.encoder", "acoustic.decoder"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_it_is_the_same_and_takes_the_same_memory(part: str, dtype: torch.dtype) -> None:
    exact = toy(part)
    packed = type(exact)(exact.config)
    packed.load_state_dict(exact.state_dict())
    packed.to(dtype)
    before = sum(weight.nbytes for weight in packed.parameters())
    pack_all(packed)
    held = sum(each.packed_bytes for each in packed.modules() if isinstance(each, Packable))
    assert sum(weight.nbytes for weight in packed.parameters()) + held <= 1.05 * before
    x = _inputs(exact, 2, 3, 1)
    whole, ours = exact.step(x, fresh(exact, 2)), packed.step(x.to(dtype), packed.init_state(2, dtype)).float()
    error = (ours - whole).square().mean().sqrt() / whole.square().mean().sqrt()
    assert error < (1e-5 if dtype == torch.float32 else 0.05)


@pytest.mark.parametrize("frames", [[1] * 12, [3, 4, 5]])
def test_packed_it_is_the_reference(frames: list[int]) -> None:
    golden = arrays("components")
    decoder, encoder = AcousticDecoder(toy("acoustic.decoder").config), Encoder(toy("semantic.encoder").config)
    for coder, part in ((decoder, "acoustic.decoder"), (encoder, "semantic.encoder")):
        coder.load_state_dict(toy(part).state_dict())
        pack_all(coder)
    name = "dec_audio_streamed_1" if frames == [1] * 12 else "dec_audio_streamed_345"
    assert_golden(name, streamed(decoder, golden["dec_latents"], frames))
    assert_golden("senc_2s_streamed_1", streamed(encoder, golden["wave_2s"], [1] * 15))
    assert_golden("senc_small", encoded(encoder, golden["wave_2s"] * 0.001))


@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.sampled_from(["encoder", "decoder"]))
@settings(deadline=None, max_examples=25)
def test_however_a_stream_is_cut_the_output_is_the_same(frames: list[int], side: str) -> None:
    coder, count = toy(f"acoustic.{side}"), sum(frames)
    components = arrays("components")
    if isinstance(coder, Encoder):
        x = components["wave_2s"][: count * SAMPLES_PER_FRAME]
        whole = encoded(coder, x)
    else:
        x = components["dec_latents"].repeat(2, 1)[:count]
        whole = decoded(coder, x)
    torch.testing.assert_close(streamed(coder, x, frames), whole, atol=3e-5, rtol=0)


def _inputs(coder: Coder, rows: int, frames: int, seed: int) -> torch.Tensor:
    shape = (rows, 1, frames * SAMPLES_PER_FRAME) if isinstance(coder, Encoder) else (rows, frames, 64)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


PARTS = ["acoustic.encoder", "semantic.encoder", "acoustic.decoder"]


@pytest.mark.parametrize("part", PARTS)
def test_rows_are_as_alone_and_leave_the_others_bit_for_bit(part: str) -> None:
    coder = toy(part)
    state = fresh(coder, 4)
    first, second = _inputs(coder, 4, 1, 1), _inputs(coder, 2, 2, 2)
    coder.step(first, state)
    before = state.numbers_SN.clone()
    rows = torch.tensor([3, 0])
    together = coder.step(second, state, rows)
    assert torch.equal(state.numbers_SN[1:3], before[1:3])
    for place, row in enumerate(rows.tolist()):
        alone = fresh(coder)
        coder.step(first[row : row + 1], alone)
        ours = coder.step(second[place : place + 1], alone)[0]
        torch.testing.assert_close(together[place], ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("part", PARTS)
def test_a_reset_slot_is_fresh_and_a_saved_one_goes_on(part: str) -> None:
    coder = toy(part)
    state = fresh(coder, 3)
    coder.step(_inputs(coder, 3, 2, 1), state)
    saved = state.copy_out(1)
    x, row = _inputs(coder, 1, 1, 2), torch.tensor([1])
    uninterrupted = coder.step(x, state, row)
    state.reset(row)
    assert torch.equal(coder.step(x, state, row), coder.step(x, fresh(coder)))
    elsewhere = fresh(coder, 2)
    elsewhere.copy_in(0, saved)
    assert torch.equal(coder.step(x, elsewhere, torch.tensor([0])), uninterrupted)


@pytest.mark.parametrize("part", PARTS)
def test_new_input_never_changes_earlier_output(part: str) -> None:
    coder = toy(part)
    x = _inputs(coder, 1, 4, 1)
    before = coder.step(x, fresh(coder))
    over_time = 2 if isinstance(coder, Encoder) else 1
    for frame in range(4):
        done = frame * x.shape[over_time] // 4
        kept, changed = torch.split(x, [done, x.shape[over_time] - done], over_time)
        after = coder.step(torch.cat([kept, changed + 1], over_time), fresh(coder))
        out_time = 1 if isinstance(coder, Encoder) else 2
        ours, theirs = (y.chunk(4, out_time) for y in (after, before))
        for earlier in range(frame):
            torch.testing.assert_close(ours[earlier], theirs[earlier], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(ours[frame], theirs[frame], atol=1e-3), "and it is used at once"


@pytest.mark.parametrize("size", ["1.5b", "7b"])
def test_parameters_are_named_and_shaped_as_in_the_released_models(size: str) -> None:
    depths = (3, 3, 3, 3, 3, 3, 8)
    ours = {}
    with torch.device("meta"):
        for kind, dim in (("acoustic", 64), ("semantic", 128)):
            config = CoderConfig(latent_dim=dim, filters=32, depths=depths)
            ours[f"model.{kind}_tokenizer.encoder."] = Encoder(config)
        decoder = AcousticDecoder(CoderConfig(latent_dim=64, filters=32, depths=depths))
    shapes = {
        start + name: list(weight.shape)
        for start, coder in [*ours.items(), ("model.acoustic_tokenizer.decoder.", decoder)]
        for name, weight in itertools.chain(coder.named_parameters(), coder.named_buffers())
    }
    manifest = read_json(f"manifest_vibevoice_{size}_original.json")
    assert shapes == {name: entry["shape"] for name, entry in manifest.items() if "_tokenizer." in name}


def test_bfloat16_works_and_is_near() -> None:
    for part in PARTS:
        exact, rough = toy(part), type(toy(part))(toy(part).config)
        rough.load_state_dict(exact.state_dict())
        rough.to(torch.bfloat16)
        x = _inputs(exact, 2, 3, 1)
        whole = exact.step(x, fresh(exact, 2))
        state = rough.init_state(2, torch.bfloat16)
        near = rough.step(x.bfloat16(), state)
        assert near.dtype == torch.bfloat16
        error = (near.float() - whole).square().mean().sqrt() / whole.square().mean().sqrt()
        assert error < 0.05
        assert state.bytes * 2 == fresh(exact, 2).bytes


def test_norms_take_their_statistics_in_float32() -> None:
    # 0.7: at a scale near 1, rounding takes the outputs back to the inputs, and all of them err the same way.
    x = (0.7 * torch.randn(1, 50, 2048, generator=torch.Generator().manual_seed(1))).bfloat16()
    block = codec._Block(2048, 1e-5)
    block.norm.weight.data = torch.ones(2048, dtype=torch.bfloat16)
    ours = block._normalise(x, block.norm).detach().double()
    exact = x.double() * (x.double().square().mean(-1, keepdim=True) + 1e-5).rsqrt()
    # The roundings of 2048 channels cancel out, to 3.3e-4 at most; that of a bfloat16 mean does not: 3.3e-3.
    assert ((ours * exact).sum(-1) / exact.square().sum(-1) - 1).abs().max() < 1e-3


@pytest.mark.parametrize(
    "wave", [torch.zeros(1, 1, 3199), torch.zeros(1, 2, 3200), torch.zeros(1, 3200), torch.zeros(1, 1, 0)]
)
def test_a_wave_that_is_not_whole_frames_is_refused_before_any_state_moves(wave: torch.Tensor) -> None:
    encoder = toy("acoustic.encoder")
    state = fresh(encoder)
    with pytest.raises(InvariantError):
        encoder.step(wave + 1, state)
    assert not state.numbers_SN.any()


def test_a_shape_that_is_none_is_refused() -> None:
    with pytest.raises(InvariantError, match="one stage more"):
        Encoder(CoderConfig(latent_dim=64, filters=4, depths=(1, 1)))
