"""Options that commands share, and the names that users rely on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import pytest

from longtake.cli.group import COMMANDS, cli
from longtake.cli.options import engine_options, limit_options, parse_voices, read_script
from longtake.config import load_settings
from longtake.core.errors import InputError
from longtake.engines.registry import engine_names
from longtake.wire.jobs import JobBody

# Speakers and their voices


@pytest.mark.parametrize(
    ("pairs", "voices"),
    [
        ((), {}),
        (("1=en-us+f2", "Alice=en-gb"), {"1": "en-us+f2", "Alice": "en-gb"}),
        ((" Speaker 1 = de ",), {"Speaker 1": "de"}),
        (("a=b=c",), {"a": "b=c"}),
        (("张三=cmn",), {"张三": "cmn"}),
    ],
)
def test_voices_are_read(pairs: tuple[str, ...], voices: dict[str, str]) -> None:
    assert parse_voices(pairs) == voices


@pytest.mark.parametrize("pair", ["", "=", "1", "1=", "=en-us", "  =en-us", "1=  "])
def test_a_voice_without_speaker_or_id_is_told_with_an_example(pair: str) -> None:
    with pytest.raises(InputError, match=r"--voice 1=en-us\+f2") as refused:
        parse_voices(("2=de", pair))
    assert repr(pair) in refused.value.message
    assert (refused.value.code, refused.value.param) == ("invalid_voice_option", "voice")


@pytest.mark.parametrize("pairs", [("1=a", "1=b"), ("1=a", " 1 =a")])
def test_a_speaker_has_one_voice(pairs: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="'1' has two voices"):
        parse_voices(pairs)


# Scripts


def test_a_script_is_read_byte_by_byte(home: Path) -> None:
    data = b"\xef\xbb\xbfA\r\nB\x00\xff"
    (home / "s.txt").write_bytes(data)
    assert read_script("s.txt") == data


def test_standard_input_is_a_dash(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "pipe").write_bytes(b"\xff\xfeA\x00\r\x00")
    with (home / "pipe").open(encoding="latin-1") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert read_script("-") == b"\xff\xfeA\x00\r\x00"


def test_what_cannot_be_read_is_told_by_name(home: Path) -> None:
    (home / "folder").mkdir()
    for name, why in (("nowhere.txt", "No such file"), ("folder", "Is a directory")):
        with pytest.raises(InputError, match=rf"{name} cannot be read: {why}") as refused:
            read_script(name)
        assert (refused.value.code, refused.value.param) == ("unreadable_file", "script")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_script_that_may_not_be_read(home: Path) -> None:
    (home / "secret.txt").write_text("x")
    (home / "secret.txt").chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        read_script("secret.txt")


# What was not given


def test_options_that_were_not_given_leave_room_for_environment_and_file(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    @click.command()
    @engine_options
    @limit_options
    def command(**options: Any) -> None:
        given.update(options)

    command.main([], standalone_mode=False)
    assert given == {
        "engine_settings": dict.fromkeys(("model", "device", "dtype", "kv_dtype", "memory_budget", "lora")),
        "limits": dict.fromkeys(("max_characters", "max_minutes")),
    }


def test_the_defaults_that_help_tells_are_the_defaults(home: Path) -> None:
    settings = load_settings(data=home)
    told = {
        "serve": {
            "host": settings.server.host,
            "port": settings.server.port,
            "max_characters": settings.limits.max_characters,
            "max_minutes": settings.limits.max_minutes,
            "speech_max_characters": settings.server.speech_max_characters,
            "max_queued_jobs": settings.limits.max_queued_jobs,
            "max_queued_hours": settings.limits.max_queued_hours,
        },
        "say": {"engine": settings.engines[0], "max_minutes": settings.limits.max_minutes},
    }
    for name, defaults in told.items():
        options = {option.name: option for option in command_of(name).params if isinstance(option, click.Option)}
        for option, value in defaults.items():
            shown = f"{value:g}" if isinstance(value, float) else value
            assert f"[default: {shown}]" in (options[option].help or ""), option


def test_a_seed_has_the_same_limits_as_over_http() -> None:
    seed = next(option for option in command_of("say").params if option.name == "seed").type
    assert isinstance(seed, click.IntRange)
    low, high = (limit for each in JobBody.model_fields["seed"].metadata for limit in vars_of(each))
    assert (seed.min, seed.max, seed.min_open, seed.max_open) == (low, high, False, False)


def vars_of(limit: object) -> list[int]:
    return [getattr(limit, name) for name in ("ge", "le") if hasattr(limit, name)]


def test_help_names_every_engine() -> None:
    for name in ("say", "lint", "serve", "voices"):
        [option] = [each for each in command_of(name).params if "--engine" in each.opts]
        assert isinstance(option, click.Option)
        for engine in engine_names():
            assert engine in (option.help or "")


# Names


def command_of(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


PROMISED = {
    "say": "-o --engine --model --voice --format --seed --data --json --out --subtitles --loudness --speed"
    " --context --steps --guidance --lora",
    "resume": "-o --data --json --lora --subtitles",
    "serve": "--host --port --data --engine --model --device --dtype --max-minutes --memory-budget",
    "jobs": "--data --json --limit",
    "voices": "--json --engine --language",
    "lint": "--json --data --voice --engine --max-minutes --max-characters --context --steps --guidance",
    "doctor": "--json --data --deep --repair",
    "logs": "--data --follow --job --level --since",
    "report": "--since --lang --data",
    "service": "",
    "alerts": "",
    "cache": "",
    "plan": "--model --minutes --jobs --memory --dtype --kv-dtype --device --context --json",
    "quantize": "--dtype --lora -o --out --json",
}


def test_the_names_that_were_promised_are_there() -> None:
    assert set(PROMISED) == set(COMMANDS)
    for name, options in PROMISED.items():
        assert set(options.split()) <= options_of(command_of(name)), name


def test_every_command_is_what_its_row_says() -> None:
    for name, (_, line) in COMMANDS.items():
        command = command_of(name)
        assert command.name == name
        assert command.help, "it has a text of its own, too"
        assert len(line) <= 79
    assert cli.get_command(click.Context(cli), "dance") is None
