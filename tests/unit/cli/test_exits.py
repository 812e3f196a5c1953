"""One table from errors to exit codes, and the entrance that applies it."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Callable
from types import ModuleType

import click
import pytest

from longtake.cli import group
from longtake.cli import main as entrance
from longtake.cli.exits import EXIT_CODES, exit_code_of, exit_code_of_failed_job
from longtake.core import errors

CODES = {
    "InputError": 2,
    "NotFoundError": 2,
    "ConflictError": 2,
    "TooLargeError": 2,
    "CapacityError": 3,
    "QueueFullError": 3,
    "DiskFullError": 3,
    "TransientError": 4,
    "WorkerError": 4,
    "EngineError": 4,
    "InvariantError": 4,
    "LeaseLostError": 4,
    "LongtakeError": 4,
}


def test_every_error_of_the_tree_has_its_code() -> None:
    tree = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.LongtakeError)
    }
    assert {name: exit_code_of(kind("m")) for name, kind in tree.items()} == CODES


def test_no_row_of_the_table_is_hidden_by_one_above() -> None:
    kinds = list(EXIT_CODES)
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, above) for above in kinds[:place])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"type": "invalid_request_error", "message": "m"}, 2),
        ({"type": "engine_error", "message": "m"}, 4),
        ({"type": "server_error", "message": "m"}, 4),
        ({"message": "m"}, 4),
        ({}, 4),
        (None, 4),
    ],
)
def test_a_failed_job_has_the_code_of_its_error(error: dict[str, str] | None, code: int) -> None:
    assert exit_code_of_failed_job(error) == code


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Call `main` with a command ``fail`` that raises; gives the exit code."""

    def call(*arguments: str, raises: BaseException | None = None) -> int:
        @click.command()
        @click.option("--number", type=int)
        def fail(number: int) -> None:
            if raises is not None:
                raise raises

        module = ModuleType("longtake.cli.fail")
        module.fail = fail  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(group, "COMMANDS", {"fail": ("longtake.cli.fail:fail", "Fails.")})
        monkeypatch.setattr(sys, "argv", ["longtake", *arguments])
        try:
            entrance.main()
        except SystemExit as exit_:
            return exit_.code if isinstance(exit_.code, int) else 0
        return 0

    return call


def test_an_error_on_purpose_is_one_message_and_a_code(
    enter: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter("fail", raises=errors.CapacityError("It needs 9 GiB, there are 8.")) == 3
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Error: It needs 9 GiB, there are 8.\n")


def test_a_mistake_of_ours_keeps_its_trace(enter: Callable[..., int]) -> None:
    with pytest.raises(ZeroDivisionError):
        enter("fail", raises=ZeroDivisionError())


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_130_and_says_no_trace(
    enter: Callable[..., int], interrupt: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter("fail", raises=interrupt) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("raises", [None, KeyboardInterrupt(), errors.InputError("m"), SystemExit(130)])
def test_nothing_changes_the_exit_code_any_more(enter: Callable[..., int], raises: BaseException | None) -> None:
    """The interpreter gives its own handlers up before it ends, and a late signal would kill it with another code."""
    enter("fail", raises=raises)
    assert {signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} == {signal.SIG_IGN}


@pytest.mark.parametrize("arguments", [("dance",), ("fail", "--number", "x"), ("fail", "--what"), ("fail", "more")])
def test_what_click_refuses_is_bad_input(
    enter: Callable[..., int], arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert enter(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error: " in err


def test_done_help_and_version_are_0(enter: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert enter("fail") == 0
    assert enter("--help") == 0
    assert "Fails." in capsys.readouterr().out
    assert enter("--version") == 0
    assert capsys.readouterr().out.startswith("longtake, version ")


def test_an_exit_code_that_a_command_chose_is_kept(enter: Callable[..., int]) -> None:
    assert enter("fail", raises=SystemExit(3)) == 3
