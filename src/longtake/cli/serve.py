"""``serve``: API and studio on one port, workers beside."""

from __future__ import annotations

import functools
import ipaddress
import socket
from pathlib import Path
from typing import Any

import click

from longtake.cli import interrupts
from longtake.cli.options import ENGINES, data_option, engine_options, limit_options
from longtake.config import ServerSettings, load_settings
from longtake.core.errors import InputError


@click.command()
@click.option("--host", metavar="H", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="P", help="Port to listen on, 0 for a free one.  [default: 7860]")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="E",
    help=f"Engine to serve, several times for several: {ENGINES}.  [default: espeak]",
)
@engine_options
@limit_options
@click.option(
    "--speech-max-characters", type=int, metavar="N", help="Longest input of /v1/audio/speech.  [default: 4096]"
)
@click.option("--max-queued-jobs", type=int, metavar="N", help="Jobs accepted and not ended.  [default: 500]")
@click.option("--max-queued-hours", type=float, metavar="N", help="Audio accepted and not spoken.  [default: 200]")
@click.option("--keep-days", type=float, metavar="N", help="Delete jobs N days after they ended.  [default: never]")
@click.option("--keep-gb", type=float, metavar="N", help="Delete the oldest ended jobs beyond N GB.  [default: never]")
@click.option(
    "--idle-minutes", type=float, metavar="N", help="Give a model's memory back after N idle minutes.  [default: never]"
)
@click.option("--no-studio", is_flag=True, help="The API alone, without the page.")
@data_option
def serve(
    host: str | None,
    port: int | None,
    engines: tuple[str, ...],
    engine_settings: dict[str, Any],
    limits: dict[str, Any],
    speech_max_characters: int | None,
    max_queued_jobs: int | None,
    max_queued_hours: float | None,
    keep_days: float | None,
    keep_gb: float | None,
    idle_minutes: float | None,
    no_studio: bool,
    data: Path | None,
) -> None:
    """Start the API and the studio page.

    An API key comes from the environment, never from the command line: LONGTAKE_SERVER__API_KEY.
    """
    settings = load_settings(
        data=data,
        engines=engines,
        server={"host": host, "port": port, "speech_max_characters": speech_max_characters},
        engine=engine_settings,
        limits=limits | {"max_queued_jobs": max_queued_jobs, "max_queued_hours": max_queued_hours},
        keep={"days": keep_days, "gb": keep_gb},
        worker={"idle_minutes": idle_minutes},
    )
    require_safe_address(settings.server)
    with _listen(settings.server) as listener:
        with interrupts.leaving_at_once():
            from longtake.doctor import examine_served
            from longtake.wiring.serve import run_server  # here: what it needs takes a second to import
        run_server(settings, listener, with_studio=not no_studio, examine=functools.partial(examine_served, settings))


def require_safe_address(server: ServerSettings) -> None:
    """
    Raises:
        InputError: The address can be reached from other machines, and there is no key.
    """
    try:
        is_loopback = ipaddress.ip_address(server.host).is_loopback
    except ValueError:
        is_loopback = server.host == "localhost"
    if not is_loopback and not server.api_key:
        raise InputError(
            f"{server.host} can be reached from other machines, so clients need a key. "
            "Set LONGTAKE_SERVER__API_KEY to a long random word, or listen on 127.0.0.1.",
            code="key_needed",
            param="host",
        )


def _listen(server: ServerSettings) -> socket.socket:
    """Bound before anything heavy is loaded, so that a taken port is told at once."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then: without it every answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((server.host, server.port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"Cannot listen on {server.host}:{server.port}: {error.strerror}. Choose another with --port.",
            code="cannot_listen",
            param="port",
        ) from error
    return listener
