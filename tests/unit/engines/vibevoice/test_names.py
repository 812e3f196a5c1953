from __future__ import annotations

import pytest

from longtake.engines.vibevoice.network.model import build_meta
from longtake.engines.vibevoice.network.names import CONTROL_TOKENS, LM_HEAD, Place, is_ignored, places, to_original
from longtake.engines.vibevoice.weights.shapes import CONFIGS
from tests.support import golden


@pytest.mark.parametrize("size", ["1.5b", "7b"])
def test_the_names_of_transformers_become_the_original_ones(size: str) -> None:
    names = golden.read_json(f"map_vibevoice_{size}_original_to_hf.json")

    assert len(names) == len(set(names.values())) >= 1204
    assert {hf: to_original(hf) for hf in names.values()} == {hf: original for original, hf in names.items()}


@pytest.mark.parametrize("size", ["1.5b", "7b"])
def test_original_names_stay(size: str) -> None:
    names = golden.read_json(f"manifest_vibevoice_{size}_original.json")

    assert [name for name in names if to_original(name) != name] == []


def test_the_time_embedder_of_older_transformers() -> None:
    name = "model.diffusion_head.timestep_embedder.layer_2.weight"

    assert to_original(name) == "model.prediction_head.t_embedder.mlp.2.weight"


@pytest.mark.parametrize("size", ["1.5b", "7b"])
def test_every_tensor_has_a_place_and_every_parameter_is_filled_exactly(size: str) -> None:
    """The released models, tensor by tensor: rows lie one below the other, without gap or overlap."""
    manifest = golden.read_json(f"manifest_vibevoice_{size}_original.json")
    model = build_meta(CONFIGS[size])
    parameters = model.state_dict()
    wanted = places(parameters, model.config)

    assert set(manifest) | {LM_HEAD} == set(wanted)
    rows: dict[str, list[tuple[int, int]]] = {}
    for name, entry in manifest.items():
        if name == LM_HEAD:
            continue
        place = wanted[name]
        shape = list(parameters[place.parameter].shape)
        if place.rows is not None:
            rows.setdefault(place.parameter, []).append(place.rows)
            shape[0] = place.rows[1] - place.rows[0]
        assert shape == entry["shape"], name
    for parameter, parts in rows.items():
        starts, ends = zip(*sorted(parts), strict=True)
        assert (0, *ends) == (*starts, len(parameters[parameter])), parameter


def test_fused_rows_stand_in_their_order() -> None:
    config = CONFIGS["tiny"]
    attention = "language_model.layers.1.self_attn.qkv_proj.bias"
    head = "prediction_head.layers.3.ffn.gate_up_proj.weight"

    assert places([attention, head], config) == {
        "model.language_model.layers.1.self_attn.q_proj.bias": Place(attention, (0, 64)),
        "model.language_model.layers.1.self_attn.k_proj.bias": Place(attention, (64, 96)),
        "model.language_model.layers.1.self_attn.v_proj.bias": Place(attention, (96, 128)),
        "model.prediction_head.layers.3.ffn.gate_proj.weight": Place(head, (0, 192)),
        "model.prediction_head.layers.3.ffn.up_proj.weight": Place(head, (192, 384)),
    }


def test_constants_are_ignored_and_weights_are_not() -> None:
    assert is_ignored("model.language_model.layers.0.self_attn.rotary_emb.inv_freq")
    assert is_ignored("model.acoustic_tokenizer.fix_std")
    assert not any(is_ignored(name) for name in golden.read_json("manifest_vibevoice_7b_original.json"))


def test_the_order_of_the_control_tokens() -> None:
    """That of the golden logits: START, END, DIFFUSION, EOS."""
    letters = golden.read_json("cases.json")["legend"]

    assert tuple(letters[letter] for letter in "SEFX") == CONTROL_TOKENS
