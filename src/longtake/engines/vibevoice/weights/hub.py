"""What ``--model`` means: a folder, the id of a repository on the hub, or ``random:NAME``. Knows no format of a file.

A download goes to huggingface_hub's own cache, resumes where it was cut off, and is not repeated. ``HF_HUB_OFFLINE=1``
keeps everything from the network; ``HF_TOKEN`` and ``HF_HOME`` mean what they mean to huggingface_hub.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from longtake.core.errors import InputError, NotFoundError

DEFAULT_MODEL = "microsoft/VibeVoice-1.5B"
_RANDOM = "random:"
_REPOSITORY = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
# By name, in the root alone: a repository may also hold pickles, images and copies in other formats.
_FILES = [
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
]
_ADAPTER_FILES = ["*adapter_config.json", "*adapter_model.safetensors", "*/model.safetensors"]


def random_name(model: str) -> str | None:
    """The NAME of ``random:NAME``; None for a model with weights of its own."""
    return model.removeprefix(_RANDOM) if model.startswith(_RANDOM) else None


def parse_repository(model: str) -> tuple[str, str | None]:
    """``owner/name@revision`` → its two parts.

    Raises:
        NotFoundError: It is no id of a repository.
    """
    found = _REPOSITORY.fullmatch(model)
    if found is None:
        raise NotFoundError(
            f"There is no folder {model!r}, and it is not the id of a repository such as owner/name.",
            code="unknown_model",
            param="model",
        )
    return found["id"], found["revision"]


def fetch_model(model: str) -> Path:
    """The folder of a checkpoint: the one named, or the downloaded ``owner/name`` or ``owner/name@revision``.

    Raises:
        NotFoundError: There is no such folder or repository (code ``unknown_model``).
        InputError: It cannot be had: no network and not in the cache, or no permission (code ``model_unavailable``).
    """
    return _fetch(model, _FILES)


def fetch_adapter(adapter: str) -> Path:
    """Like `fetch_model`, for the folder of a LoRA adapter."""
    return _fetch(adapter, _ADAPTER_FILES)


def fetch_file(repository: str, file: str) -> Path:
    """One file of a repository, from the cache if it is there. Raises as `fetch_model` does."""
    import huggingface_hub  # late: it takes 0.3 s, and a folder needs none of it

    try:
        # Not asked for a newer version of what is in the cache: a worker must start without a network, and quickly.
        cached = huggingface_hub.try_to_load_from_cache(repository, file)
        return Path(cached if isinstance(cached, str) else huggingface_hub.hf_hub_download(repository, file))
    except Exception as error:
        raise _explained(f"{repository}/{file}", error) from error


def _fetch(model: str, files: list[str]) -> Path:
    folder = Path(model).expanduser()
    if model and folder.is_dir():  # "" would be the current folder
        return folder
    if folder.is_file():
        raise NotFoundError(
            f"{model} is a file. Give the folder that holds config.json and *.safetensors.",
            code="unknown_model",
            param="model",
        )
    repository, revision = parse_repository(model)
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=files))
    except Exception as error:
        raise _explained(model, error) from error


def _explained(what: str, error: Exception) -> InputError:
    """In words of ours. Everything is caught: below huggingface_hub lie httpx, the file system and its own errors."""
    from huggingface_hub import errors

    details: dict[str, Any] = {"code": "model_unavailable", "param": "model"}
    if isinstance(error, errors.GatedRepoError):
        return InputError(f"{what} asks for its terms to be accepted: do so on the hub, then set HF_TOKEN.", **details)
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(
            f"There is no folder and no public repository {what!r}. Check the spelling; a private one needs HF_TOKEN.",
            code="unknown_model",
            param="model",
        )
    if isinstance(error, errors.RevisionNotFoundError | errors.EntryNotFoundError) and not isinstance(
        error, errors.LocalEntryNotFoundError
    ):
        return NotFoundError(f"{what} is not on the hub: {_first_line(error)}", code="unknown_model", param="model")
    if isinstance(error, OSError) and error.errno == 28:
        return InputError(f"No room to store {what}: {error}. Free space, or set HF_HOME to another disk.", **details)
    return InputError(
        f"{what} could not be fetched and is not in the cache ({type(error).__name__}: {_first_line(error)}). Check "
        "the network and HF_HUB_OFFLINE, or give a folder.",
        **details,
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
