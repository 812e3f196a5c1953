"""Loads a checkpoint's weights into our model. Knows safetensors; the shape is in `config_file`, the names in `names`.

Every tensor goes from the memory-mapped file straight into its rows of the parameter on the device, in the parameter's
type: what is allocated is the model and no more (measured: 5.50 GB for 5.41 GB of weights; the file's own pages are
cache, which the kernel takes back when it needs room). Names, shapes and types are checked from the files'
headers before the first byte is allocated, and everything that is wrong is said at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.vibevoice.network.codec import Encoder
from longtake.engines.vibevoice.network.config import VibeVoiceConfig
from longtake.engines.vibevoice.network.model import ENCODER, VibeVoiceModel, allocate, build_meta
from longtake.engines.vibevoice.network.names import (
    CONTROL_HEAD,
    CONTROL_TOKENS,
    EMBEDDING,
    LM_HEAD,
    Place,
    is_ignored,
    places,
    to_original,
)
from longtake.engines.vibevoice.network.quantization import Quantization, fitting
from longtake.engines.vibevoice.network.quantized import written
from longtake.engines.vibevoice.weights.config_file import load_config
from longtake.nn.shapes import shapes_only

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
Merge = Callable[[str, torch.Tensor], None]
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_KINDS = {torch.int8: frozenset({"I8"}), torch.uint8: frozenset({"U8"})}  # of what is quantized
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_SHOWN = 10
CONVERT = (
    "Pickles can run any code when they are opened, so they are never read here. Take the repository's safetensors, or "
    'convert a file that you trust: python -c "import sys, torch; from safetensors.torch import save_file; '
    "save_file({k: v.clone().contiguous() for k, v in torch.load(sys.argv[1], map_location='cpu', "
    'weights_only=True).items()}, sys.argv[2])" IN OUT.safetensors'
)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a file's header says of a tensor; `dtype` in the words of safetensors, such as ``BF16``."""

    shape: tuple[int, ...]
    dtype: str


@torch.no_grad()
def load_model(
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    codec_dtype: torch.dtype | None = None,
    quantization: Quantization | None = None,
    merge: Merge | None = None,
) -> VibeVoiceModel:
    """The model of that folder, in either layout, in one file or in shards.

    Args:
        dtype: Of the decoder, the diffusion head and the connectors; of what is quantized, of the activations.
        codec_dtype: Of the acoustic and semantic coders; absent: `dtype`.
        quantization: How matrices are to be quantized; absent: as they are in the folder, in full or quantized.
        merge: Changes the numbers of a parameter, before they are quantized.

    Raises:
        NotFoundError: The folder is no checkpoint, or a part of it is not there (code ``no_checkpoint``).
        InputError: The configuration or the weights do not fit our network, a file is damaged, or there are only
            pickles (codes ``bad_config``, ``bad_checkpoint``); the folder is quantized, in another way (code
            ``other_dtype``) or though something is to be merged before that (code ``quantized``).
        CapacityError: The device has no room for the weights.
    """
    saved = load_config(folder)
    config = replace(saved, quantization=fitting(saved.quantization, quantization, str(folder)))
    if saved.quantization is not None and merge is not None:
        raise InputError(
            f"{folder} is quantized, and an adapter is merged before that. Give the checkpoint that it was made of, "
            f"with --lora and --dtype {saved.quantization}.",
            code="quantized",
            param="lora",
        )
    with ExitStack() as stack:
        files = open_files(weight_files(folder), stack)
        manifest = {name: read_info(file, name) for name, file in files.items()}
        plan = check_names(build_meta(saved), manifest, where=str(folder))
        model = build_meta(config)
        allocate(model, dtype=dtype, device=device, codec_dtype=codec_dtype)
        for parameter, parts in by_parameter(plan).items():
            with written(model, parameter, is_stored=saved.quantization is not None) as target:
                for name, place in parts:
                    tensor = files[name].get_tensor(name)
                    if parameter == CONTROL_HEAD:
                        tensor = tensor[list(CONTROL_TOKENS)]
                    (target if place.rows is None else target[slice(*place.rows)]).copy_(tensor)
                if merge is not None:
                    merge(parameter, target)
    _check_factors(model, folder)
    return model


def by_parameter(plan: list[tuple[str, Place]]) -> dict[str, list[tuple[str, Place]]]:
    """What `check_names` returns, by the parameter of ours that is filled."""
    found: dict[str, list[tuple[str, Place]]] = {}
    for name, place in plan:
        found.setdefault(place.parameter, []).append((name, place))
    return found


def load_encoder(folder: Path, *, dtype: torch.dtype, device: torch.device | str) -> Encoder:
    """The acoustic encoder alone, of a folder from which `load_model` has loaded. Raises as that does."""
    with shapes_only():
        encoder = Encoder(load_config(folder).acoustic).to(dtype).requires_grad_(False)
    encoder.to_empty(device=device)
    targets = encoder.state_dict(keep_vars=True)
    prefix = f"model.{ENCODER}."
    with ExitStack() as stack:
        for name, file in open_files(weight_files(folder), stack).items():
            original = to_original(name)
            if original.startswith(prefix):
                targets[original.removeprefix(prefix)].copy_(file.get_tensor(name))
    return encoder


def check_names(
    model: nn.Module, manifest: Mapping[str, TensorInfo], *, where: str = "The checkpoint"
) -> list[tuple[str, Place]]:
    """Compare a checkpoint's tensors with a model, which may be on the meta device.

    Args:
        manifest: Name in either layout → what its header says.
        where: Who is meant, for the message.

    Returns:
        (name in the manifest, where it goes), in the manifest's order; a tied embedding comes twice.

    Raises:
        InputError: A tensor is missing, unknown, there twice, or of another shape or type: all of them in one message.
    """
    config: VibeVoiceConfig = model.config  # type: ignore[assignment]
    parameters = model.state_dict(keep_vars=True)
    wanted = places(parameters, config)
    vocabulary = (config.decoder.vocab_size, config.decoder.hidden_size)
    problems: list[str] = []
    plan: list[tuple[str, Place]] = []
    seen: dict[str, str] = {}
    for name, info in manifest.items():
        original = to_original(name)
        if is_ignored(original):
            continue
        place = wanted.get(original)
        if place is None:
            problems.append(f"{name} {list(info.shape)} is unknown")
            continue
        if original in seen:
            problems.append(f"{name} is there twice, also as {seen[original]}")
            continue
        seen[original] = name
        plan.append((name, place))
        shape = vocabulary if original == LM_HEAD else _shape_of(place, tuple(parameters[place.parameter].shape))
        problems += _differences(name, info, shape, _KINDS.get(parameters[place.parameter].dtype, FLOATS))
    if LM_HEAD not in seen and EMBEDDING in seen:
        # Tied: decided by the tensors that are there. The flag stands in different places, and is wrong in some files.
        plan.append((seen[EMBEDDING], Place(CONTROL_HEAD)))
        seen[LM_HEAD] = seen[EMBEDDING]
    problems += [
        f"{name} {list(_shape_of(place, tuple(parameters[place.parameter].shape)))} is missing"
        for name, place in wanted.items()
        if name not in seen and name != LM_HEAD
    ]
    if problems:
        raise InputError(
            f"{where} does not fit the model that its config.json describes: {listing(problems)}. Fetch the checkpoint "
            "again; if it was fine-tuned or converted, write it out with the names and shapes of the original.",
            code="bad_checkpoint",
            param="model",
        )
    return plan


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the folder: the one, or the shards that the index names.

    Raises:
        NotFoundError: There are none, or a shard is missing.
        InputError: There are only pickles, or the index is damaged.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        raise _no_weights(folder)
    try:
        shards = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder / INDEX, f"{type(error).__name__}: {error}") from error
    if not shards or any(not isinstance(shard, str) or Path(shard).name != shard for shard in shards):
        raise _damaged(folder / INDEX, f"it names {shards[:3]}, which are no files of the folder")
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise NotFoundError(
            f"{folder} is not complete: of {len(shards)} shards {listing(missing)} missing. Finish the download.",
            code="no_checkpoint",
            param="model",
        )
    return [folder / shard for shard in shards]


def open_files(paths: Iterable[Path], stack: ExitStack) -> dict[str, Any]:
    """Tensor name → the open file that holds it; the stack closes the files.

    Raises:
        InputError: A file is cut short or no safetensors file, or two of them hold the same tensor.
    """
    found: dict[str, Any] = {}
    for path in paths:
        try:
            file = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
        except (SafetensorError, OSError) as error:
            raise _damaged(path, str(error)) from error
        for name in file.keys():  # noqa: SIM118 - not a mapping
            if name in found:
                raise _damaged(path, f"it holds {name}, which is in another shard, too")
            found[name] = file
    return found


def read_info(file: Any, name: str) -> TensorInfo:
    """Shape and type from the header of an open safetensors file; no data is read."""
    part = file.get_slice(name)
    return TensorInfo(tuple(part.get_shape()), part.get_dtype())


@torch.no_grad()
def check_finite(model: VibeVoiceModel, name: str) -> None:
    """One look at every weight, where it lies: 8 GB/s with one thread, an eighth of what copying it there takes.

    Raises:
        InputError: A weight is NaN or infinite (code ``bad_checkpoint``).
    """
    weights = model.state_dict(keep_vars=True)
    # NaN wins both, and infinity one of them. Read once, at the end: each reading waits for the device.
    extremes = [torch.stack(torch.aminmax(weight)).float().to(model.device) for weight in weights.values()]
    are_finite = torch.stack(extremes).isfinite().all(-1).tolist()
    if bad := [weight for weight, is_finite in zip(weights, are_finite, strict=True) if not is_finite]:
        raise InputError(
            f"{name} has weights that are not finite: {listing(bad)}. The files are damaged: fetch them again. With "
            "--dtype fp16 a weight above 65,504 is one, too: take bf16 or fp32.",
            code="bad_checkpoint",
            param="model",
        )


def listing(items: list[str]) -> str:
    """At most ten of them, then how many more there are."""
    more = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _shape_of(place: Place, whole: tuple[int, ...]) -> tuple[int, ...]:
    return whole if place.rows is None else (place.rows[1] - place.rows[0], *whole[1:])


def _differences(name: str, info: TensorInfo, shape: tuple[int, ...], kinds: frozenset[str]) -> list[str]:
    found = []
    if info.shape != shape:
        turned = " (transposed)" if len(shape) > 1 and info.shape == shape[::-1] else ""
        found.append(f"{name} is {list(info.shape)} and must be {list(shape)}{turned}")
    if info.dtype not in kinds:
        found.append(
            f"{name} is {info.dtype} and must be {'one of ' if len(kinds) > 1 else ''}{', '.join(sorted(kinds))}"
        )
    return found


def _check_factors(model: VibeVoiceModel, folder: Path) -> None:
    """A checkpoint that was saved before training has NaN here, and speaks silence."""
    scale, bias = float(model.speech_scaling_factor), float(model.speech_bias_factor)
    if not (0 < abs(scale) < float("inf") and abs(bias) < float("inf")):
        raise InputError(
            f"{folder} has speech_scaling_factor {scale} and speech_bias_factor {bias}; both must be finite and the "
            "first not 0. The checkpoint was never trained; take a released one.",
            code="bad_checkpoint",
            param="model",
        )


def _no_weights(folder: Path) -> InputError:
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    if pickles:
        return InputError(
            f"{folder} has only pickled weights ({', '.join(pickles[:3])}). {CONVERT}", code="pickled", param="model"
        )
    strays = sorted(path.name for path in folder.glob("*.safetensors"))
    what = f"it has {', '.join(strays[:3])}, but no {INDEX}" if strays else f"it has no {SINGLE} and no {INDEX}"
    return NotFoundError(
        f"{folder} is not a complete checkpoint: {what}. Finish the download, or take a repository with safetensors.",
        code="no_checkpoint",
        param="model",
    )


def _damaged(path: Path, why: str) -> InputError:
    with path.open("rb") as file:
        if file.read(20).startswith(b"version https://git"):
            why = "it is a Git LFS pointer, not the file itself; run git lfs pull"
    return InputError(
        f"{path} ({path.stat().st_size} bytes) is damaged or cut short: {why}. Remove it and fetch it again.",
        code="bad_checkpoint",
        param="model",
    )
