"""docs/architecture.md, the packages and the import contracts draw the same house."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from longtake.config.settings import WorkerSettings
from tests.docs.markdown import ROOT, read, spans, table

PAGE = read("architecture.md")
ROWS = [spans(row[0]) for row in table(PAGE, "room")]
ROOMS = {room for row in ROWS for room in row}
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]


def rooms_of(modules: list[str]) -> set[str]:
    return {module.removeprefix("longtake.") for module in modules}


def test_every_package_is_a_room_and_every_room_a_package() -> None:
    packages = {path.parent.name for path in (ROOT / "src/longtake").glob("*/__init__.py")}

    assert packages == ROOMS


def test_rooms_stand_as_the_layers_do() -> None:
    [layers] = [each["layers"] for each in CONTRACTS if each["type"] == "layers" and "containers" not in each]
    drawn = [rooms_of(re.split(r"\s*[|:]\s*", layer)) for layer in layers if layer != "longtake.__main__"]

    assert [set(row) for row in ROWS] == drawn


def test_rooms_of_vibevoice_stand_as_its_layers_do() -> None:
    [layers] = [each["layers"] for each in CONTRACTS if each.get("containers") == ["longtake.engines.vibevoice"]]
    drawn = [part for row in table(PAGE, "inside") for part in spans(row[0])]
    home = ROOT / "src/longtake/engines/vibevoice"

    assert drawn == [part for layer in layers for part in layer.split(" | ")]
    assert set(drawn) == {path.stem for path in home.iterdir() if not path.name.startswith("__")}


def test_walls_are_contracts_that_leave_no_room_out() -> None:
    for what, where in table(PAGE, "what"):
        outside = ROOMS - set(spans(where))
        assert any(
            set(spans(what)) <= set(contract["forbidden_modules"]) and rooms_of(contract["source_modules"]) == outside
            for contract in CONTRACTS
            if contract["type"] == "forbidden"
        ), f"no contract keeps {what} out of exactly {sorted(outside)}"


def test_every_contract_that_names_most_rooms_is_told() -> None:
    told = {module for what, _ in table(PAGE, "what") for module in spans(what)}
    walls = [each for each in CONTRACTS if len(each.get("source_modules", ())) > len(ROOMS) / 2]

    assert {module for wall in walls for module in wall["forbidden_modules"]} == told


def test_where_the_bounds_are_is_in_the_code() -> None:
    named = [name for row in table(PAGE, "bound") for name in spans(row[1])]
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "src/longtake").rglob("*.py")]
    assert named
    for name in named:
        owner, _, member = name.partition(".")
        if owner == "worker":
            assert member in WorkerSettings.model_fields, name
            continue
        [home] = [file for file in files if re.search(rf"^class {owner}\b", file, re.MULTILINE)]
        assert not member or re.search(rf"^    def {member}\(", home, re.MULTILINE), name
