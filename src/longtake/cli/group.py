"""The group of all commands: names every one, imports none of them."""

from __future__ import annotations

import importlib

import click

from longtake import __version__
from longtake.cli import interrupts

# Name → (module:attribute, one line of help). The line is here so that --help need not import the module.
COMMANDS = {
    "say": ("longtake.cli.say:say", "Speak a script into an audio file."),
    "resume": ("longtake.cli.say:resume", "Go on with a job where it stopped."),
    "serve": ("longtake.cli.serve:serve", "Start the API and the studio page."),
    "jobs": ("longtake.cli.jobs:jobs", "List, show, pause, cancel, delete jobs."),
    "voices": ("longtake.cli.voices:voices", "List the voices that scripts can use; add and remove recordings."),
    "cache": ("longtake.cli.cache:cache", "Show or clear the passages kept for scripts that are edited."),
    "alerts": ("longtake.cli.alerts:alerts", "List the alerts; send a test message."),
    "lint": ("longtake.cli.lint:lint", "Check a script and estimate its length, without speaking it."),
    "plan": ("longtake.cli.plan:plan", "Tell how much memory VibeVoice takes, and whether jobs fit."),
    "quantize": ("longtake.cli.quantize:quantize", "Write a VibeVoice checkpoint in 8 or 4 bits."),
    "service": ("longtake.cli.service:service", "Mend a running server: restart, unload, load, release, clean."),
    "logs": ("longtake.cli.logs:logs", "Show what happened, or follow it."),
    "report": ("longtake.cli.report:report", "A health report of the last hours or days, with advice."),
    "doctor": ("longtake.cli.doctor:doctor", "Check that this machine can speak, by speaking."),
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        with interrupts.leaving_at_once():
            command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="longtake")
def cli() -> None:
    """Turn a script of any length, spoken by several voices, into finished audio.

    \b
    longtake say script.txt -o show.mp3      speak it
    longtake serve                           API and studio on http://127.0.0.1:7860

    Exit codes: 0 done, 2 bad input, 3 does not fit, 4 engine failed, 130 interrupted (resumable).
    """
