"""``longtake plan``: figures for programs and for people, exit codes, and no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from longtake.cli import plan as plan_module
from longtake.cli.plan import plan
from longtake.core.errors import InputError


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(plan, words, catch_exceptions=False)
    return result.exit_code, result.output


def figures(*words: str) -> tuple[int, dict[str, Any]]:
    code, told = run(*words, "--json")
    return code, json.loads(told)


def test_the_shape_that_programs_rely_on() -> None:
    code, told = figures("--model", "vibevoice-1.5b", "--minutes", "90", "--jobs", "4", "--memory", "24GiB")
    assert code == 0
    assert told["fits"] is True
    for name in ("weights_bytes", "kv_bytes", "workspace_bytes", "peak_bytes", "max_jobs"):
        assert isinstance(told[name], int), name
    assert told["kv_bytes"] == told["kv_positive_bytes"] + told["kv_negative_bytes"] == 4 * told["kv_job_bytes"]
    assert told["weights_bytes"] == sum(told["weights"].values())
    assert told["peak_bytes"] < 24 << 30
    assert (told["dtype"], told["device"], told["max_jobs"]) == ("bf16", "cuda", 6)


def test_what_does_not_fit_says_what_to_change_and_exits_with_3() -> None:
    code, told = figures("--minutes", "90", "--jobs", "8", "--memory", "24GiB")
    assert (code, told["fits"]) == (3, False)
    assert "24.0 GiB" in told["reasons"][0]
    code, text = run("--minutes", "90", "--jobs", "8", "--memory", "24GiB")
    assert code == 3
    assert "It does not fit: keys and values take 23.2 GiB" in text
    assert "→ --jobs 6" in text


def test_every_part_is_shown() -> None:
    code, text = run("--memory", "24GiB")
    assert code == 0
    for words in (
        "weights that stay",
        "positive",
        "negative",
        "states",
        "reading a prompt",
        "acoustic encoder",
        "It fits",
    ):
        assert words in text


def test_without_a_size_it_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "free_host_bytes", lambda: 3 << 30)
    code, told = figures("--model", "random:small", "--minutes", "10")
    assert (code, told["device"], told["memory_bytes"], told["dtype"]) == (0, "cpu", 3 << 30, "fp32")
    monkeypatch.setattr(plan_module, "free_host_bytes", lambda: 300 << 20)
    code, told = figures("--model", "random:small", "--minutes", "10")
    assert (code, told["dtype"]) == (3, "bf16")


def test_a_wrong_size_is_told() -> None:
    with pytest.raises(InputError, match="20GiB") as refused:
        run("--memory", "much")
    assert refused.value.param == "memory"


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from longtake.cli.plan import plan; plan(['--json'], standalone_mode=False);"
        "sys.exit('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")
