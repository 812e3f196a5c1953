"""The entrance: names every command, imports none of them. Turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import logging
import sys

import click

from longtake import __version__
from longtake.cli.exits import EXIT_INTERRUPTED, exit_code_of
from longtake.core.errors import LongtakeError

# Name → (module:attribute, one line of help). The line is here so that --help need not import the module.
COMMANDS = {
    "say": ("longtake.cli.say:say", "Speak a script into an audio file."),
    "resume": ("longtake.cli.say:resume", "Go on with a job where it stopped."),
    "serve": ("longtake.cli.serve:serve", "Start the API and the studio page."),
    "jobs": ("longtake.cli.jobs:jobs", "List, show, pause, cancel, delete jobs."),
    "voices": ("longtake.cli.voices:voices", "List the voices that scripts can use."),
    "lint": ("longtake.cli.lint:lint", "Check a script and estimate its length, without speaking it."),
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


def main() -> None:
    """Run a command; an error on purpose becomes one clear message and its exit code, never a trace."""
    # Commands show what their user needs to know; without a handler, log lines would appear between their lines.
    logging.getLogger("longtake").addHandler(logging.NullHandler())
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone: `longtake voices | head`
        sys.stderr.close()
        sys.exit(0)
    except LongtakeError as error:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(error.message, err=True)
        sys.exit(exit_code_of(error))


if __name__ == "__main__":
    main()
