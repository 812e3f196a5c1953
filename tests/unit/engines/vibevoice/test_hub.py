from __future__ import annotations

import fnmatch
import functools
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub
import pytest
from huggingface_hub import errors

from longtake.core.errors import InputError, NotFoundError
from longtake.engines.vibevoice.weights.hub import fetch_adapter, fetch_file, fetch_model, random_name


class Hub:
    """Stands for `snapshot_download`: remembers what it was asked, gives a folder or raises."""

    def __init__(self, answer: Path | Exception) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}

    def __call__(self, repository: str, **options: Any) -> str:
        self.asked = {"repository": repository} | options
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)

    def takes(self, file: str) -> bool:
        return any(fnmatch.fnmatch(file, pattern) for pattern in self.asked["allow_patterns"])


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Hub(AssertionError("the hub was asked")))


def put(monkeypatch: pytest.MonkeyPatch, answer: Path | Exception) -> Hub:
    hub = Hub(answer)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    return hub


def response(status: int) -> Any:
    """Whatever package huggingface_hub asks with: its errors only look at it."""
    return httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co/x"))


def test_random_names() -> None:
    assert random_name("random:1.5b") == "1.5b"
    assert random_name("random:") == ""
    assert random_name("owner/random") is None
    assert random_name("/models/random:x") is None


@pytest.mark.usefixtures("no_hub")
def test_a_folder_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch_model(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert fetch_model(f"~/{tmp_path.name}") == tmp_path
    (tmp_path / "vibevoice").mkdir()
    monkeypatch.chdir(tmp_path)
    assert fetch_model("vibevoice") == Path("vibevoice")


def test_a_folder_goes_before_a_repository_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = put(monkeypatch, tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    assert fetch_model("owner/name") == Path("owner/name")
    assert hub.asked == {}


@pytest.mark.parametrize(
    "model", ["/no/such/folder", "./model", "../owner/name", "~/model", "name", "", "a/b/c", "a b/c"]
)
@pytest.mark.usefixtures("no_hub")
def test_what_can_be_no_repository_is_not_asked_for(model: str) -> None:
    with pytest.raises(NotFoundError, match="no folder") as caught:
        fetch_model(model)

    assert caught.value.code == "unknown_model"


@pytest.mark.usefixtures("no_hub")
def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()

    with pytest.raises(NotFoundError, match="is a file"):
        fetch_model(str(tmp_path / "model.safetensors"))


def test_a_repository_is_fetched_without_what_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = put(monkeypatch, tmp_path)

    assert fetch_model("vibevoice/VibeVoice-1.5B") == tmp_path

    assert hub.asked["repository"] == "vibevoice/VibeVoice-1.5B"
    assert hub.asked["revision"] is None
    for file in ("config.json", "model.safetensors", "model-00001-of-00003.safetensors", "tokenizer.json"):
        assert hub.takes(file), file
    for file in ("pytorch_model.bin", "model.gguf", "optimizer.pt", "figures/model.json", "modeling.py", "README.md"):
        assert not hub.takes(file), file


def test_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = put(monkeypatch, tmp_path)

    fetch_model("owner/name.v2@refs/pr/3")

    assert (hub.asked["repository"], hub.asked["revision"]) == ("owner/name.v2", "refs/pr/3")


def test_an_adapter_has_files_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = put(monkeypatch, tmp_path)

    fetch_adapter("owner/voice")

    for file in ("adapter_config.json", "lora/adapter_model.safetensors", "diffusion_head/model.safetensors"):
        assert hub.takes(file), file
    for file in ("adapter_model.bin", "model.safetensors", "diffusion_head_full.bin"):
        assert not hub.takes(file), file


@pytest.mark.parametrize(
    ("error", "kind", "code", "said"),
    [
        (errors.RepositoryNotFoundError("404", response=response(404)), NotFoundError, "unknown_model", "spelling"),
        (errors.GatedRepoError("403", response=response(403)), InputError, "model_unavailable", "HF_TOKEN"),
        (errors.RevisionNotFoundError("404", response=response(404)), NotFoundError, "unknown_model", "not on the hub"),
        (errors.LocalEntryNotFoundError("no cache\nmore"), InputError, "model_unavailable", "no cache). Check"),
        (errors.OfflineModeIsEnabled("offline"), InputError, "model_unavailable", "HF_HUB_OFFLINE"),
        (httpx.ConnectError("no route"), InputError, "model_unavailable", "ConnectError: no route"),
        (OSError(28, "No space left on device"), InputError, "model_unavailable", "No room to store owner/name"),
    ],
)
def test_what_goes_wrong_is_explained(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[InputError], code: str, said: str
) -> None:
    put(monkeypatch, error)

    with pytest.raises(InputError) as caught:
        fetch_model("owner/name")

    assert type(caught.value) is kind
    assert caught.value.code == code
    assert "owner/name" in str(caught.value)
    assert said in str(caught.value)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real huggingface_hub, without a network and with an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("offline")
def test_offline_is_honoured() -> None:
    with pytest.raises(InputError, match="could not be fetched and is not in the cache") as caught:
        fetch_model("owner/name")
    with pytest.raises(InputError, match=r"Qwen/Qwen2\.5-1\.5B/tokenizer\.json"):
        fetch_file("Qwen/Qwen2.5-1.5B", "tokenizer.json")

    assert caught.value.code == "model_unavailable"


def test_the_cache_is_enough(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = offline / "models--owner--name"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    (snapshot / "tokenizer.json").write_text("{}")
    for name in ("snapshot_download", "try_to_load_from_cache"):
        bound = functools.partial(getattr(huggingface_hub, name), cache_dir=str(offline))
        monkeypatch.setattr(huggingface_hub, name, bound)

    assert fetch_model("owner/name") == snapshot
    assert fetch_file("owner/name", "tokenizer.json") == snapshot / "tokenizer.json"
