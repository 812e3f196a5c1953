"""Whatever could change a sample changes the revision."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import ModuleType, SimpleNamespace

import av
import pytest

from longtake.engines.espeak import revision as revisions
from longtake.engines.espeak.revision import revision, revision_of


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "libespeak-ng.so").write_bytes(b"code")
    return tmp_path / "libespeak-ng.so"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "lang").mkdir(parents=True)
    (folder / "en_dict").write_bytes(b"words")
    (folder / "lang" / "en").write_bytes(b"name English")
    return folder


def append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"!")


@pytest.mark.parametrize(
    "change",
    [
        lambda library, data: append(library),
        lambda library, data: append(data / "lang" / "en"),
        lambda library, data: (data / "en_dict").unlink(),
        lambda library, data: (data / "en_dict").rename(data / "fr_dict"),
        lambda library, data: (data / "phontab").write_bytes(b""),
    ],
    ids=["library", "a voice", "a file less", "another name", "a file more"],
)
def test_a_byte_of_library_or_data(library: Path, data: Path, change: Callable[[Path, Path], object]) -> None:
    before = revision_of(library, data)
    assert revision_of(library, data) == before
    change(library, data)
    assert revision_of(library, data) != before


def test_where_and_when_it_was_installed_does_not_matter(library: Path, data: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(data, tmp_path / "elsewhere")
    (copied / "en_dict").touch()
    assert revision_of(library, copied) == revision_of(library, data)


@pytest.mark.parametrize("module", ["engine", "sound", "marks", "runs", "voices"])
def test_our_own_code(library: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    before = revision_of(library, data)
    code = shutil.copytree(Path(str(revisions.__file__)).parent, tmp_path / "code")
    files = resources.files
    here = lambda package: code if "espeak" in package else files(package)  # noqa: E731
    monkeypatch.setattr(revisions, "resources", SimpleNamespace(files=here))
    assert revision_of(library, data) == before
    append(code / f"{module}.py")
    assert revision_of(library, data) != before


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (av, "library_versions", av.library_versions | {"libswresample": (99, 0, 0)}),
        (av, "library_versions", av.library_versions | {"libavfilter": (99, 0, 0)}),
        (platform, "machine", lambda: "riscv64"),
        (platform, "libc_ver", lambda: ("musl", "1.2")),
    ],
    ids=["resampler", "filters", "machine", "libc"],
)
def test_what_it_runs_on(
    library: Path, data: Path, monkeypatch: pytest.MonkeyPatch, owner: ModuleType, name: str, value: object
) -> None:
    before = revision_of(library, data)
    monkeypatch.setattr(owner, name, value)
    assert revision_of(library, data) != before


def test_it_is_found_once_a_process() -> None:
    assert revision().startswith("espeak-ng-")
    assert revision() is revision()
