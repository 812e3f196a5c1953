"""The decoder against the reference's golden data, and what holds for any cut, any batch, any order."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from longtake.nn.decoder import Decoder, rotary_tables, rotate
from longtake.nn.decoder_config import DecoderConfig
from longtake.nn.kv import KVStore, Segment
from tests.support.golden import arrays, read_json, share_of_limit, toy_weights

torch.set_num_threads(1)

CONFIG = DecoderConfig(
    hidden_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=160,
    vocab_size=151_936,
    max_position_embeddings=65_536,
)
LEGAL = [151_652, 151_653, 151_654, 151_643]  # START, END, DIFFUSION, EOS
FUSED = {"self_attn.qkv_proj": ("q_proj", "k_proj", "v_proj"), "mlp.gate_up_proj": ("gate_proj", "up_proj")}


def fused_weights() -> dict[str, Tensor]:
    prefix = "model.language_model."
    weights = {name.removeprefix(prefix): w for name, w in toy_weights().items() if name.startswith(prefix)}
    for layer in range(CONFIG.num_hidden_layers):
        for fused, parts in FUSED.items():
            module = fused.split(".")[0]
            for kind in ("weight", "bias"):
                names = [f"layers.{layer}.{module}.{part}.{kind}" for part in parts]
                if names[0] in weights:
                    weights[f"layers.{layer}.{fused}.{kind}"] = torch.cat([weights.pop(name) for name in names])
    return weights


def toy(dtype: torch.dtype = torch.float32) -> Decoder:
    return _toy(dtype)


@functools.cache
def _toy(dtype: torch.dtype) -> Decoder:
    with torch.device("meta"):
        decoder = Decoder(CONFIG)
    weights = {name: weight.to(dtype) for name, weight in fused_weights().items()}
    decoder.load_state_dict(weights, strict=True, assign=True)
    return decoder


def make_store(dtype: torch.dtype = torch.float32) -> KVStore:
    return KVStore(layers=3, kv_heads=2, head_dim=16, dtype=dtype, device="cpu")


def alone(x_NH: Tensor, sizes: list[int] | None = None, position_N: Tensor | None = None) -> Tensor:
    """The hidden states of one sequence in a store of its own, fed in pieces of these sizes."""
    store, start, outs = make_store(x_NH.dtype), 0, []
    row = store.open_row(len(x_NH))
    for size in sizes or [len(x_NH)]:
        piece = slice(start, start + size)
        positions = None if position_N is None else position_N[piece]
        outs.append(toy(x_NH.dtype)(x_NH[piece], [Segment(row, start, size)], store, positions))
        start += size
    return torch.cat(outs)


def embeds(count: int, seed: int) -> Tensor:
    return 0.3 * torch.randn(count, CONFIG.hidden_size, generator=torch.Generator().manual_seed(seed))


def lm_embeds() -> Tensor:
    x_NH: Tensor = toy().embed_tokens(arrays("components")["lm_ids"])
    return x_NH


def assert_golden(group: str, name: str, ours: Tensor, golden: Tensor) -> None:
    share = share_of_limit(group, name, ours, golden)
    print(f"{name}: {share:.3f} of its limit")
    assert share <= 1


def test_names_and_shapes_are_those_of_the_checkpoint_with_fused_groups() -> None:
    shapes = {name: tuple(weight.shape) for name, weight in toy().state_dict().items()}
    assert shapes.keys() == fused_weights().keys()
    assert shapes["layers.2.self_attn.qkv_proj.weight"] == (128, 64)
    assert shapes["layers.2.self_attn.qkv_proj.bias"] == (128,)
    assert shapes["layers.2.mlp.gate_up_proj.weight"] == (320, 64)
    assert not any(weight.requires_grad for weight in toy().parameters())


@pytest.mark.parametrize("sizes", [[48], [1] * 48, [20, 1, 1, 26]], ids=["one piece", "token by token", "pieces"])
@pytest.mark.parametrize(
    ("name", "scale", "far"), [("lm_hidden", 1, False), ("lm_far_hidden", 1, True), ("lm_small_hidden", 0.004, False)]
)
def test_golden_hidden_states(name: str, scale: float, far: bool, sizes: list[int]) -> None:
    positions = arrays("components")["lm_far_positions"] if far else None
    ours = alone(lm_embeds() * scale, sizes, positions)
    assert_golden("components", name, ours, arrays("components")[name])


def test_golden_residual_stream_and_logits() -> None:
    streams: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: streams.append(out)) for layer in toy().layers]
    try:
        hidden = alone(lm_embeds())
    finally:
        for hook in hooks:
            hook.remove()
    for index in (0, 1):
        name = f"lm_after_layer_{index}"
        assert_golden("components", name, streams[index], arrays("components")[name])
    logits = hidden @ toy().embed_tokens.weight[LEGAL].T
    assert_golden("components", "lm_legal_logits", logits, arrays("components")["lm_legal_logits"])


def test_golden_cases_side_by_side() -> None:
    """All cases in one batch, both branches; the negative row begins anew where the reference's list is emptied."""
    cases = {key: arrays(f"case_{key}") for key in read_json("cases.json")["cases"]}
    store = make_store()
    pos = {key: store.open_row(len(case["input_ids"]) + len(case["tokens"])) for key, case in cases.items()}
    neg = {key: store.open_row(int(case["neg_position"].max()) + 1) for key, case in cases.items()}
    hidden: dict[tuple[str, str], list[Tensor]] = {}
    for step in range(max(len(case["tokens"]) for case in cases.values())):
        batch: list[tuple[str, str, Segment, Tensor]] = []
        for key, case in cases.items():
            if step >= len(case["tokens"]):
                continue
            x = case["prompt_embeds"] if step == 0 else case["step_input"][step : step + 1]
            start = 0 if step == 0 else int(case["step_position"][step])
            batch.append((key, "prompt_hidden" if step == 0 else "step_hidden", Segment(pos[key], start, len(x)), x))
            for frame in (case["frame_step"] == step).nonzero().flatten().tolist():
                segment = Segment(neg[key], int(case["neg_position"][frame]), 1)
                batch.append((key, "cond_neg", segment, case["neg_input"][frame : frame + 1]))
        segments = [segment for _, _, segment, _ in batch]
        out = toy()(torch.cat([x for *_, x in batch]), segments, store)
        for (key, name, _, _), part in zip(batch, out.split([s.count for s in segments]), strict=True):
            hidden.setdefault((key, name), []).append(part)
    for key, case in cases.items():
        prompt = torch.cat(hidden[key, "prompt_hidden"])
        print(f"case {key}")
        assert_golden("case", "prompt_hidden", prompt, case["prompt_hidden"])
        steps = torch.cat((prompt[-1:], *hidden[key, "step_hidden"]))
        assert_golden("case", "step_hidden", steps, case["step_hidden"])
        assert_golden("case", "cond_neg", torch.cat(hidden[key, "cond_neg"]), case["cond_neg"])
        assert_golden("case", "legal_logits", steps @ toy().embed_tokens.weight[LEGAL].T, case["legal_logits"])


@pytest.mark.parametrize("sizes", [[1] * 30, [7, 23], [29, 1], [1, 1, 10, 18]])
def test_any_cut_of_the_prompt_is_the_whole_prompt(sizes: list[int]) -> None:
    x_NH = embeds(30, seed=1)
    torch.testing.assert_close(alone(x_NH, sizes), alone(x_NH), atol=1e-5, rtol=0)


def test_rows_of_different_lengths_together_are_each_alone() -> None:
    lengths = (3, 40, 1, 17)
    xs = [embeds(length + 2, seed) for seed, length in enumerate(lengths)]
    store = make_store()
    rows = [store.open_row(len(x)) for x in xs]
    outs: list[list[Tensor]] = [[] for _ in xs]
    # A prompt is still being read while other rows already take steps, or are not there yet.
    batches = [
        [(1, 0, 20)],
        [(0, 0, 3), (1, 20, 20), (3, 0, 17)],
        [(3, 17, 1), (2, 0, 1), (0, 3, 1), (1, 40, 1)],
        [(0, 4, 1), (1, 41, 1), (2, 1, 2), (3, 18, 1)],
    ]
    for batch in batches:
        x_NH = torch.cat([xs[i][start : start + count] for i, start, count in batch])
        out = toy()(x_NH, [Segment(rows[i], start, count) for i, start, count in batch], store)
        for (i, _, _), part in zip(batch, out.split([count for *_, count in batch]), strict=True):
            outs[i].append(part)
    for x, out_parts in zip(xs, outs, strict=True):
        torch.testing.assert_close(torch.cat(out_parts), alone(x), atol=1e-5, rtol=0)


def test_a_later_token_does_not_change_an_earlier_one() -> None:
    x_NH = embeds(20, seed=2)
    changed = x_NH.clone()
    changed[12:] = embeds(8, seed=3) * 100
    before, after = alone(x_NH), alone(changed)
    assert torch.equal(before[:12], after[:12])
    assert not torch.allclose(before[12:], after[12:], atol=0.1)


def test_a_row_begun_anew_leaves_no_trace() -> None:
    store, x_NH = make_store(), embeds(9, seed=4)
    row = store.open_row(50)
    toy()(embeds(50, seed=5) * 100, [Segment(row, 0, 50)], store)
    assert torch.equal(toy()(x_NH, [Segment(row, 0, 9)], store), alone(x_NH))


def test_nothing_is_kept_on_the_module_between_calls() -> None:
    x_NH, other = embeds(10, seed=6), embeds(10, seed=7) * 3
    stores = make_store(), make_store()
    rows = [store.open_row(10) for store in stores]
    outs = []
    for n in range(10):
        outs.append(toy()(x_NH[n : n + 1], [Segment(rows[0], n, 1)], stores[0]))
        toy()(other[n : n + 1], [Segment(rows[1], n, 1)], stores[1])
    assert torch.equal(torch.cat(outs), alone(x_NH, [1] * 10))


def test_positions_are_those_of_the_store_unless_given() -> None:
    x_NH = embeds(12, seed=8)
    near = torch.arange(12)
    assert torch.equal(alone(x_NH, position_N=near), alone(x_NH))
    assert not torch.allclose(alone(x_NH, position_N=2 * near), alone(x_NH), atol=1e-2)
    # Only distances matter to attention; a shift costs no more than the rounding of the angles.
    torch.testing.assert_close(alone(x_NH, position_N=near + 1000), alone(x_NH), atol=2e-3, rtol=0)


def test_rotary_is_float32_inside_bfloat16() -> None:
    heads = torch.randn(5, 4, 16, generator=torch.Generator().manual_seed(9)).bfloat16()
    cos, sin = rotary_tables(torch.tensor([0, 1, 255, 257, 65_535]), 1e6, 16)
    assert cos.dtype == sin.dtype == torch.float32
    turned = rotate(heads, cos, sin)
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, rotate(heads.float(), cos, sin).bfloat16())
    angle = 65_535 * 1e6 ** -(2 / 16 * torch.arange(8, dtype=torch.float64))
    torch.testing.assert_close(cos[4].double(), angle.cos(), atol=5e-3, rtol=0)


@pytest.mark.parametrize("scale", [300, 1e-3])  # the small one makes the epsilon visible
def test_norms_are_float32_inside_bfloat16(scale: float) -> None:
    x = (scale * torch.randn(7, 64, generator=torch.Generator().manual_seed(10))).bfloat16()
    norm = toy(torch.bfloat16).norm
    exact = x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight.double()
    torch.testing.assert_close(norm(x).double(), exact, atol=0, rtol=2**-7)


def test_bfloat16_follows_float32() -> None:
    x_NH = lm_embeds().bfloat16()
    ours, exact = alone(x_NH, [30] + [1] * 18), alone(x_NH.float())
    assert ours.dtype == torch.bfloat16
    error = (ours.float() - exact).norm() / exact.norm()
    print(f"bfloat16: relative error {error:.4f}")
    assert error < 0.03
