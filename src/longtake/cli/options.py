"""Options that several commands share. Values that were not given stay None, so that file and environment count."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from longtake.core.errors import InputError
from longtake.engines.registry import engine_names

F = TypeVar("F", bound=Callable[..., Any])
DTYPES = "auto, fp32, fp16, bf16; int8, int4: the decoder's matrices, all else as auto; int8+head+bf16, for example."
ENGINES = ", ".join(engine_names())


def data_option(function: F) -> F:
    return _data_option("Data folder: jobs, audio, logs.")(function)


def existing_data_option(function: F) -> F:
    """For commands about what is there: a name that was mistyped makes no empty folder."""
    return _data_option("Data folder that is there already.", callback=_existing)(function)


def _data_option(what: str, **more: Any) -> Callable[[F], F]:
    return click.option(
        "--data", type=click.Path(path_type=Path), help=f"{what}  [default: the user's data dir]", **more
    )


def _existing(ctx: click.Context, parameter: click.Parameter, folder: Path | None) -> Path | None:
    # Not by Path: it raises for a user whom nobody knows, and for a folder that may not be looked into.
    if folder is not None and not os.path.isdir(os.path.expanduser(folder)):
        raise InputError(
            f"There is no data folder {folder}. The first `longtake say` or `longtake serve` makes one; "
            "name another with --data.",
            code="data_folder",
            param="data",
        )
    return folder


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")(function)


def _together(into: str, *options: Callable[[F], F]) -> Callable[[F], F]:
    """Options whose values the command gets as one dictionary, in the argument ``into``."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            return function(**{into: {name: values.pop(name) for name in names}}, **values)

        for option in options:
            option(command)  # type: ignore[arg-type]
        # The last of the list is what was added first.
        names = [parameter.name for parameter in command.__click_params__[-len(options) :]]  # type: ignore[attr-defined]
        return command  # type: ignore[return-value]

    return decorate


limit_options = _together(
    "limits",
    click.option("--max-minutes", type=float, metavar="N", help="Longest audio, by its estimate.  [default: 600]"),
    click.option("--max-characters", type=int, metavar="N", help="Longest script.  [default: 200000]"),
)

engine_options = _together(
    "engine_settings",
    click.option("--lora", metavar="L", help="Folder or hub id of a LoRA adapter, for engines that take one."),
    click.option("--memory-budget", metavar="SIZE", help="Bytes the engine may hold, such as 20GiB."),
    click.option("--kv-dtype", type=click.Choice(["auto", "int8"]), help="Of keys and values.  [default: auto]"),
    click.option("--dtype", metavar="T", help=DTYPES),
    click.option("--device", metavar="D", help="auto, cpu, cuda, mps."),
    click.option("--model", metavar="M", help="Folder or hub id of the weights, for engines that have weights."),
)


def script_options(function: F) -> F:
    for option in (
        click.option("--speed", type=float, default=1.0, show_default=True, help="0.25 to 4."),
        click.option(
            "--voice",
            "voices",
            multiple=True,
            metavar="WHO=ID",
            help="A voice (1=en-us+f2, Alice=en-gb), or a recording (1=me.wav).",
        ),
        click.option("--engine", metavar="E", help=f"{ENGINES}.  [default: espeak]"),
    ):
        function = option(function)
    return function


# Settings of a request that some engines know; one that does not know them says so.
model_options = _together(
    "speaking",
    click.option("--guidance", type=float, metavar="X", help="VibeVoice: how strongly the text leads.  [default: 1.3]"),
    click.option("--steps", type=int, metavar="N", help="VibeVoice: diffusion steps a frame.  [default: 10]"),
    click.option(
        "--context",
        type=click.Choice(["full", "window"]),
        help="VibeVoice: the whole script in view at once, or passage by passage.  [default: full if it fits]",
    ),
)


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, without what was left to the engine."""
    return {name: value for name, value in settings.items() if value is not None}


def parse_voices(pairs: tuple[str, ...]) -> dict[str, str]:
    """``("1=en-us+f2", "Alice=en-gb")`` → a dictionary.

    Raises:
        InputError: A pair has no ``=``, or a speaker is named twice.
    """
    voices: dict[str, str] = {}
    for pair in pairs:
        who, equals, voice = pair.partition("=")
        if not (who.strip() and equals and voice.strip()):
            raise InputError(
                f"--voice {pair!r} is not understood. Write speaker, equals sign, voice: --voice 1=en-us+f2.",
                code="invalid_voice_option",
                param="voice",
            )
        if who.strip() in voices:
            raise InputError(f"Speaker {who.strip()!r} has two voices.", code="invalid_voice_option", param="voice")
        voices[who.strip()] = voice.strip()
    return voices


def read_script(path: str) -> bytes:
    """The bytes of a file, or of standard input for ``-``.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with click.open_file(path, "rb") as file:
            data: bytes = file.read()
    except OSError as error:
        raise InputError(
            f"The script {path} cannot be read: {error.strerror}.", code="unreadable_file", param="script"
        ) from error
    return data
