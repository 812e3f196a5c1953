"""Merges a LoRA adapter, in the layout of PEFT, into a loaded model. Knows no training.

* ``adapter_config.json`` and ``adapter_model.safetensors``: pairs for the decoder, the diffusion head, or both;
* ``diffusion_head/`` with the same two files: pairs for the diffusion head (so the community's trainer writes them);
* ``diffusion_head/``, ``acoustic_connector/``, ``semantic_connector/`` with ``model.safetensors``: weights that
  replace ours.

Merged once at load, an adapter costs nothing per frame. Everything is checked before the first weight changes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.vibevoice.network.model import VibeVoiceModel
from longtake.engines.vibevoice.network.names import Place, places, to_original
from longtake.engines.vibevoice.weights.checkpoint import CONVERT, FLOATS, listing, open_files, read_info

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PARTS = {
    "diffusion_head": "model.prediction_head.",
    "acoustic_connector": "model.acoustic_connector.",
    "semantic_connector": "model.semantic_connector.",
}
_KEY = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight")
# What an adapter may be relative to: the whole model, its `model`, the decoder alone, or the head behind the shim that
# the trainers wrap it in. No name fits two of them: the decoder's layers have self_attn and mlp, the head's have ffn.
_ROOTS = ("", "model.", "model.language_model.", "model.prediction_head.")
_MERGED = ("language_model.", "prediction_head.")


@dataclass(frozen=True, slots=True)
class _Change:
    """Rows of a parameter, and what is done to them: `scale` · `b` @ `a` is added, or `a` alone replaces them."""

    place: Place
    a: str
    b: str | None
    scale: float


@torch.no_grad()
def merge_lora(model: VibeVoiceModel, folder: Path, *, strength: float = 1.0) -> int:
    """Merge the adapter of that folder into the model, in place.

    Products are made in float32 on the model's device and rounded once to the parameter's type.

    Args:
        strength: Factor on top of the adapter's own scale; weights that replace ours are taken whole.

    Returns:
        The number of tensors of the original model that were changed.

    Raises:
        NotFoundError: There is no adapter in the folder (code ``no_adapter``).
        InputError: A target is unknown, a shape does not fit, the kind of adapter is not implemented, or a part is
            pickled (codes ``bad_adapter``, ``pickled``).
    """
    with ExitStack() as stack:
        merge = open_lora(model, folder, stack, strength=strength)
        for parameter, tensor in model.state_dict(keep_vars=True).items():
            merge(parameter, tensor)
        return len(merge)


class LoraMerge:
    """An adapter that was checked: merges itself into one parameter after the other."""

    def __init__(self, jobs: list[tuple[_Change, dict[str, Any]]]) -> None:
        self._jobs = jobs

    def __len__(self) -> int:
        return len(self._jobs)

    @torch.no_grad()
    def __call__(self, parameter: str, tensor: torch.Tensor) -> None:
        """Merge what there is for that parameter of ours into its numbers, in place."""
        for change, source in self._jobs:
            if change.place.parameter == parameter:
                _apply(change, source, tensor)


def open_lora(model: VibeVoiceModel, folder: Path, stack: ExitStack, *, strength: float = 1.0) -> LoraMerge:
    """Open the adapter of that folder and check all of it, for a model in full, which may be on the meta device; the
    stack closes its files. Arguments and errors are those of `merge_lora`."""
    folder = _root(folder)
    _refuse_pickles(folder)
    parameters = model.state_dict(keep_vars=True)
    wanted = places(parameters, model.config)
    jobs: list[tuple[_Change, dict[str, Any]]] = []
    problems: list[str] = []
    for part in (folder, folder / "diffusion_head"):
        if (part / CONFIG).is_file() and (part / WEIGHTS).is_file():
            config = _read_config(part / CONFIG)
            files = open_files([part / WEIGHTS], stack)
            jobs += [(change, files) for change in _pairs(files, config, wanted, strength, problems)]
    for name, prefix in _PARTS.items():
        path = folder / name / "model.safetensors"
        if path.is_file():
            files = open_files([path], stack)
            jobs += [(change, files) for change in _whole(files, prefix, wanted, problems)]
    if not jobs and not problems:
        raise NotFoundError(f"{folder} holds no adapter: no {CONFIG} with {WEIGHTS}.", code="no_adapter")
    for change, source in jobs:
        problems += _misfits(change, source, parameters[change.place.parameter])
    if problems:
        raise _bad(folder, f"does not fit this model: {listing(problems)}")
    return LoraMerge(jobs)


def _root(folder: Path) -> Path:
    """Trainers write the adapter into the folder itself or into ``lora`` below it."""
    return folder / "lora" if not (folder / CONFIG).is_file() and (folder / "lora" / CONFIG).is_file() else folder


def _refuse_pickles(folder: Path) -> None:
    """Only where nothing safe stands beside it: a part left out would give another voice without a word."""
    for part in (folder, *(folder / name for name in _PARTS)):
        safe = any((part / name).is_file() for name in (WEIGHTS, "model.safetensors"))
        pickles = [path.name for path in part.glob("*.bin")] if part.is_dir() else []
        if pickles and not safe:
            target = WEIGHTS if (part / CONFIG).is_file() else "model.safetensors"
            raise InputError(
                f"The adapter {part} has only pickled weights ({', '.join(pickles)}). {CONVERT} (here: {target}), or "
                "remove them to go without this part.",
                code="pickled",
            )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind = config["peft_type"]
        for key in ("rank_pattern", "alpha_pattern"):
            for pattern in config.get(key) or ():
                re.compile(pattern)
    except (ValueError, KeyError, TypeError, re.error) as error:
        raise _bad(path, f"cannot be read ({type(error).__name__}: {error})") from error
    if kind != "LORA":
        raise _bad(path, f"is of type {kind!r}; only LORA is implemented")
    unsupported = [
        f"{key} = {config[key]!r}"
        for key in ("use_dora", "fan_in_fan_out", "lora_bias", "modules_to_save", "alora_invocation_tokens")
        if config.get(key)
    ]
    if config.get("bias", "none") != "none":
        unsupported.append(f"bias = {config['bias']!r}")
    if unsupported:
        raise _bad(path, f"asks for {', '.join(unsupported)}, which is not implemented; merge it with PEFT instead")
    return config


def _pairs(
    files: Mapping[str, Any], config: dict[str, Any], wanted: Mapping[str, Place], strength: float, problems: list[str]
) -> list[_Change]:
    sides: dict[str, dict[str, str]] = {}
    for name in files:
        if found := _KEY.fullmatch(name):
            sides.setdefault(found["module"], {})[found["side"]] = name
        else:
            problems.append(f"{name} is no LoRA pair of a linear layer")
    changes = []
    for module, pair in sides.items():
        place = _place(module, wanted)
        if place is None:
            problems.append(f"the target {module} is unknown")
        elif len(pair) == 1:
            problems.append(f"{module} has only lora_{next(iter(pair))}")
        else:
            rank = read_info(files[pair["A"]], pair["A"]).shape[0]
            scale = _scale(config, module, rank, problems) * strength
            changes.append(_Change(place, pair["A"], pair["B"], scale))
    return changes


def _place(module: str, wanted: Mapping[str, Place]) -> Place | None:
    for name in (module, module.removeprefix("base.")):
        for root in _ROOTS:
            place = wanted.get(to_original(f"{root}{name}.weight"))
            if place is not None and place.parameter.startswith(_MERGED) and "embed" not in place.parameter:
                return place
    return None


def _scale(config: dict[str, Any], module: str, rank: int, problems: list[str]) -> float:
    """alpha / r, or alpha / sqrt(r); a module's own rank and alpha are found by pattern, as PEFT does."""
    stated = _by_pattern(config.get("rank_pattern"), module, config.get("r"))
    alpha = _by_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha"))
    if stated != rank or not isinstance(alpha, int | float):
        problems.append(f"{module} has rank {rank}, and its configuration says rank {stated} and alpha {alpha}")
        return 0.0
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, otherwise: Any) -> Any:
    return next(
        (value for key, value in (patterns or {}).items() if re.match(rf"(.*\.)?({key})$", module)),
        otherwise,
    )


def _whole(files: Mapping[str, Any], prefix: str, wanted: Mapping[str, Place], problems: list[str]) -> list[_Change]:
    changes = []
    for name in files:
        place = wanted.get(to_original(prefix + name)) or wanted.get(to_original(name))
        if place is None or not f"model.{place.parameter}".startswith(prefix):
            problems.append(f"{name} is no weight of {prefix.strip('.')}")
        else:
            changes.append(_Change(place, name, None, 1.0))
    return changes


def _misfits(change: _Change, files: Mapping[str, Any], parameter: torch.Tensor) -> list[str]:
    shape = tuple(_rows(change.place, parameter).shape)
    a = read_info(files[change.a], change.a)
    b = None if change.b is None else read_info(files[change.b], change.b)
    if a.dtype not in FLOATS or (b is not None and b.dtype not in FLOATS):
        return [f"{change.a} is {a.dtype}, which is no plain float"]
    if b is None:
        return [] if a.shape == shape else [f"{change.a} is {list(a.shape)} and must be {list(shape)}"]
    if len(a.shape) == len(b.shape) == 2 and a.shape[0] == b.shape[1] and (b.shape[0], a.shape[1]) == shape:
        return []
    return [f"{change.b} {list(b.shape)} @ {change.a} {list(a.shape)} must give {list(shape)}"]


def _apply(change: _Change, files: Mapping[str, Any], parameter: torch.Tensor) -> None:
    target = _rows(change.place, parameter)
    a = files[change.a].get_tensor(change.a).to(target.device)
    if change.b is None:
        target.copy_(a)
        return
    b = files[change.b].get_tensor(change.b).to(target.device)
    target.copy_(torch.addmm(target.float(), b.float(), a.float(), alpha=change.scale))


def _rows(place: Place, parameter: torch.Tensor) -> torch.Tensor:
    return parameter if place.rows is None else parameter[slice(*place.rows)]


def _bad(path: Path, what: str) -> InputError:
    return InputError(f"The LoRA adapter {path} {what}.", code="bad_adapter")
