"""The entrance: turns errors into messages and exit codes. Ready for Ctrl-C before it is ready for anything else."""

from __future__ import annotations

import sys

from longtake.cli import interrupts
from longtake.cli.exits import EXIT_INTERRUPTED, exit_code_of
from longtake.core.errors import LongtakeError


def main() -> None:
    """Run a command; an error on purpose becomes one clear message and its exit code, never a trace."""
    interrupts.will_tell()
    interrupts.leave_at_once()
    import logging

    import click

    from longtake.cli.group import cli

    # Commands show what their user needs to know; without a handler, log lines would appear between their lines.
    logging.getLogger("longtake").addHandler(logging.NullHandler())
    try:
        interrupts.raise_once()
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        interrupts.tell()
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone: `longtake voices | head`
        sys.stderr.close()
        sys.exit(0)
    except LongtakeError as error:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(error.message, err=True)
        sys.exit(exit_code_of(error))
    finally:
        interrupts.ignore()


if __name__ == "__main__":
    main()
