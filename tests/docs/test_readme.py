"""What README.md and the pages tell a reader to do can be done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from longtake.audio import measure
from longtake.cli import exits
from longtake.cli.group import COMMANDS, cli
from tests.docs.markdown import PAGES, ROOT, fences, spans, table
from tests.support.served import Served

README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = "\n".join([*spans(README), *(code for _, code in fences(README))])
SHOWN_AT = "http://127.0.0.1:7860"
PLACES = r"(?:docs|examples|benchmarks|src|tests)"


def blocks(language: str, containing: str) -> list[str]:
    return [code for info, code in fences(README) if info == language and containing in code]


# Names


def test_every_target_of_make_is_in_the_makefile() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", CODE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert {"demo", "serve", "test", "check"} <= named
    assert named <= targets


def test_the_table_of_commands_is_the_group() -> None:
    listed = {spans(row[0])[0].split()[1] for row in table(README, "command")}

    assert listed == set(COMMANDS)


def test_every_command_that_is_named_exists_with_its_options() -> None:
    context = click.Context(cli)
    lines = re.findall(r"\blongtake ([a-z]+)([^\n#`]*)", CODE)
    assert lines
    for name, rest in lines:
        command = cli.get_command(context, name)
        assert command is not None, f"longtake {name}"
        if isinstance(command, click.Group) and (verb := rest.split()[:1]):
            command = command.commands.get(verb[0], command)
        options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        assert set(re.findall(r"(?<!\S)-{1,2}[a-z][\w-]*", rest)) <= options | {"--help"}, name


def test_what_a_command_is_said_to_take_exists() -> None:
    context = click.Context(cli)
    for shown, meaning in table(README, "command"):
        command = cli.get_command(context, spans(shown)[0].split()[1])
        assert command is not None
        options = {option for each in command.params for option in each.opts}
        inner = set(command.commands) if isinstance(command, click.Group) else set()
        for said in spans(meaning):
            if said.startswith("--"):
                assert re.split(r"[ =]", said)[0] in options, said
            elif isinstance(command, click.Group):
                assert said in inner, said


def test_exit_codes() -> None:
    found = re.search(r"Exit codes: (.*?)\.", README, re.DOTALL)
    assert found is not None

    told = {int(code) for code in re.findall(r"\d+", found[1])}
    assert told == {code for name, code in vars(exits).items() if name.startswith("EXIT_") and isinstance(code, int)}


# Links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), target
    for named in re.findall(rf"(?<![\w/.-]){PLACES}/[\w./-]*[\w/]", text):
        assert "NNNN" in named or (ROOT / named).exists(), named


def test_every_page_is_reached_from_the_readme() -> None:
    """Named there, or on a page that is named there."""
    near = [page for page in PAGES if page.relative_to(ROOT).as_posix() in README]
    reached = README + "".join(page.read_text(encoding="utf-8") for page in near)
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        assert name == "README.md" or re.sub(r"^docs/adr/.*", "docs/adr/", name) in reached, name


# Running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("data")) as served:
        yield served


def environment() -> dict[str, str]:
    """Without proxies, and with this Python as python3."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    kept = {name: value for name, value in kept.items() if not name.startswith(("LONGTAKE_", "OPENAI_"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(command: list[str], code: str, cwd: Path) -> str:
    done = subprocess.run(command, input=code.encode(), env=environment(), cwd=cwd, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_commands_do_what_they_are_printed_for(served: Served, tmp_path: Path) -> None:
    code = "\n".join(blocks("sh", "curl "))
    assert code.count(SHOWN_AT) >= 8

    said = run(["bash", "-eu", "-o", "pipefail"], code.replace(SHOWN_AT, served.url), tmp_path)

    assert measure(tmp_path / "speech.mp3").seconds > 0.8
    assert measure(tmp_path / "show.mp3").seconds > 1.5
    assert (tmp_path / "show.srt").read_text(encoding="utf-8").count(" --> ") >= 2
    assert '"to":"done"' in said, "the events"
    assert '"fits":true' in said, "the check"
    assert '"id":"yue"' in said, "the voices"
    assert '"ready":true' in said, "readyz"
    assert '"error":{' not in said


def test_the_python_block_does_what_it_is_printed_for(served: Served, tmp_path: Path) -> None:
    pytest.importorskip("openai")
    [code] = blocks("python", "OpenAI(")
    assert SHOWN_AT in code

    run([sys.executable, "-"], code.replace(SHOWN_AT, served.url), tmp_path)

    assert measure(tmp_path / "speech.mp3").seconds > 0.4


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_command_of_the_api_page(served: Served, tmp_path: Path) -> None:
    code = "\n".join(code for info, code in fences((ROOT / "docs/api.md").read_text(encoding="utf-8")) if info == "sh")
    assert SHOWN_AT in code

    run(["bash", "-eu", "-o", "pipefail"], code.replace(SHOWN_AT, served.url), tmp_path)

    assert measure(tmp_path / "speech.mp3").seconds > 0.4
