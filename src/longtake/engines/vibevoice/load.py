"""From a model's name to an engine that can speak. The only place that chooses device and type."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from longtake.core.errors import InputError
from longtake.core.memory import free_host_bytes
from longtake.core.records import EngineInfo
from longtake.core.units import format_bytes
from longtake.engines.vibevoice.decoding.graphs import use_graphs
from longtake.engines.vibevoice.decoding.runner import Runner
from longtake.engines.vibevoice.engine import VibeVoiceEngine
from longtake.engines.vibevoice.network.codec import Encoder
from longtake.engines.vibevoice.network.config import VibeVoiceConfig
from longtake.engines.vibevoice.network.model import VibeVoiceModel, build_meta
from longtake.engines.vibevoice.network.quantization import check_kv_dtype, fitting, read_dtype
from longtake.engines.vibevoice.planning.footprint import float_parameters
from longtake.engines.vibevoice.prompting.tokenizer import build_byte_tokenizer, load_tokenizer
from longtake.engines.vibevoice.prompting.voice_bank import VoiceBank
from longtake.engines.vibevoice.trace import Weights
from longtake.engines.vibevoice.weights.checkpoint import check_finite, load_encoder, load_model, weight_files
from longtake.engines.vibevoice.weights.config_file import CONFIG, load_config
from longtake.engines.vibevoice.weights.dtypes import BF16_FLAGS, has_bf16, host_dtype
from longtake.engines.vibevoice.weights.fingerprint import of_checkpoint, of_random
from longtake.engines.vibevoice.weights.hub import DEFAULT_MODEL, fetch_adapter, fetch_model, random_name
from longtake.engines.vibevoice.weights.lora import open_lora
from longtake.engines.vibevoice.weights.random_model import build_random, build_random_encoder
from longtake.engines.vibevoice.weights.shapes import random_config
from longtake.nn.affine import pack_all
from longtake.nn.memory import give_back
from longtake.voices import VoiceStore

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def load_engine(
    info: EngineInfo,
    *,
    voices: Path,
    model: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    kv_dtype: str = "auto",
    adapter: str | None = None,
    graphs: bool = True,
) -> VibeVoiceEngine:
    """Load a model and its tokenizer.

    Args:
        voices: Folder of the recordings.
        model: A folder, a hub id, or ``random:tiny|small|1.5b|7b``; None is `DEFAULT_MODEL`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        dtype: As `quantization.read_dtype` reads it: ``auto``, ``fp32``, ``int8``, …
        kv_dtype: Of keys and values: ``auto``, that of the model, or ``int8``.
        adapter: Folder or hub id of a LoRA adapter.
        graphs: Tell steps as CUDA graphs, where that can be done.

    Raises:
        InputError: Something named is not there, is damaged, or is nothing that this machine has.
        CapacityError: The device has no room for the weights.
    """
    place = choose_device(device)
    check_kv_dtype(kv_dtype)
    if place.type == "cuda" and place.index is not None:
        # Events, streams and kernels of our own are made for the current device, whatever their tensors lie on.
        torch.cuda.set_device(place)
    if place.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        # One core is left to the encoder, the store and the page: threads of torch that wait for a busy core spin, and
        # a frame then takes ten times as long (measured on two cores).
        torch.set_num_threads(max(1, cores() - 1))
    name = model or DEFAULT_MODEL
    adapter_folder = None if adapter is None else fetch_adapter(adapter)
    asked, rest = read_dtype(dtype)
    encoder: Callable[..., Encoder]
    if (random := random_name(name)) is not None:
        log.warning("the weights of %s are random: what it speaks is noise, for tests and measurements only", name)
        config = replace(random_config(random), quantization=asked)
        build: Callable[..., VibeVoiceModel] = partial(build_random, random)
        encoder = partial(build_random_encoder, random)
        tokenizer = build_byte_tokenizer()
        fingerprint = of_random(random, adapter_folder, quantization=asked)
    else:
        folder = fetch_model(name)
        # What is no checkpoint is told before anything is fetched for it.
        config, files = load_config(folder), weight_files(folder)
        tokenizer = load_tokenizer(folder)
        saved = config.quantization
        config = replace(config, quantization=fitting(saved, asked, name))
        build = partial(load_model, folder)
        encoder = partial(load_encoder, folder)
        fingerprint = of_checkpoint(folder / CONFIG, files, adapter_folder, quantization=None if saved else asked)
    kind, codec_kind = _types(rest, place, config)
    with ExitStack() as stack:
        merge = None
        if adapter_folder is not None:
            merge = open_lora(build_meta(replace(config, quantization=None)), adapter_folder, stack)
        network = build(dtype=kind, device=place, codec_dtype=codec_kind, quantization=asked, merge=merge)
    if random is None:
        check_finite(network, name)  # of random weights not all are written
    weights = Weights(fingerprint, name if adapter is None else f"{name} --lora {adapter}")
    how = kind if network.config.quantization is None else f"{network.config.quantization} and {kind}"
    log.info("%s: %s, %s on %s", weights, format_bytes(network.weights_bytes), how, place)
    network.acoustic_tokenizer.encoder = None  # see VoiceBank
    pack_all(network)
    give_back()
    runner = Runner(network, info.max_active, has_int8_kv=kv_dtype == "int8")
    if place.type == "cuda":
        why_not = use_graphs(runner, info.max_active) if graphs else "engine.graphs is off"
        log.info("steps are told %s", "as CUDA graphs" if why_not is None else f"one operation at a time: {why_not}")
    bank = VoiceBank(network, VoiceStore(voices), load_encoder=partial(encoder, dtype=codec_kind or kind, device=place))
    return VibeVoiceEngine(runner, tokenizer, bank, info, weights=weights, is_random=random is not None)


def choose_device(asked: str) -> torch.device:
    """
    Raises:
        InputError: There is no such device here.
    """
    if asked == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise _no_device(asked, "it is no device's name") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise _no_device(asked, f"torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise _no_device(asked, "this machine has no Metal device")
    if device.type not in ("cpu", "cuda", "mps"):
        raise _no_device(asked, "only cpu, cuda and mps are known")
    return device


def choose_dtype(asked: str, device: torch.device, parameters: int) -> torch.dtype:
    """What was asked for, or what the device is quickest with.

    Args:
        parameters: How many the model has, as in `footprint.float_parameters`.

    Raises:
        InputError: There is no such type.
    """
    if asked == "auto":
        if device.type == "cuda":
            with torch.cuda.device(device):  # an older one than Ampere only imitates bf16, many times slower
                has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if has_bf16 else torch.float16
        if device.type == "mps":
            return torch.float16
        return DTYPES[host_dtype(parameters, free_host_bytes(), is_native=_cpu_has_bf16())]
    if asked not in DTYPES:
        raise InputError(
            f"There is no dtype {asked!r}. Give auto, {', '.join(DTYPES)}.", code="unknown_dtype", param="dtype"
        )
    return DTYPES[asked]


def _types(asked: str, device: torch.device, config: VibeVoiceConfig) -> tuple[torch.dtype, torch.dtype | None]:
    """Of the model, and of its coders where that is another."""
    kind = choose_dtype(asked, device, float_parameters(config))
    # fp16 ends at 65,504, and the coders' inner values pass that with some voices; bf16 and fp32 do not end there.
    return kind, torch.float32 if kind is torch.float16 else None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_has_bf16() -> bool:
    look = getattr(torch.cpu, "get_capabilities", None)
    if look is not None:
        found: dict[str, Any] = look()
        return any(found.get(kind) for kind in BF16_FLAGS)
    return has_bf16()  # torch 2.11 does not tell


def _no_device(asked: str, why: str) -> InputError:
    return InputError(
        f"The device {asked!r} cannot be used: {why}. Give auto, cpu, cuda, cuda:N or mps.",
        code="unknown_device",
        param="device",
    )
