"""``service``: mend a running server from a shell. Asks its API, as the page does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx

from longtake.cli.options import existing_data_option, json_option
from longtake.config import load_settings
from longtake.core.errors import ConflictError, InputError, LongtakeError, WorkerError
from longtake.core.units import format_bytes
from longtake.jobs.folder import DataFolder
from longtake.wire.mending import CLI_AGENT
from longtake.wiring.address import server_of

GRACE_S = 10.0  # beyond what the server itself waits for
_WHAT = {"rss_bytes": "of host memory", "reserved_bytes": "of its devices"}

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def service() -> None:
    """Mend a running server: restart, unload, load or relieve a worker, clean the data folder.

    Each says what it gave back. No job is lost by any of them.
    """


def _options(function: F) -> F:
    for option in (
        json_option,
        existing_data_option,
        click.option(
            "--wait",
            "wait_s",
            type=click.FloatRange(0, 600),
            default=30.0,
            show_default=True,
            metavar="S",
            help="Seconds to wait for the answer; what takes longer goes on.",
        ),
        click.argument("engine", required=False),
    ):
        function = option(function)
    return function


@service.command()
@click.option(
    "--how",
    type=click.Choice(["now", "drain"]),
    default="now",
    show_default=True,
    help="now: jobs go on with the new worker. drain: those in hand are spoken to their end first.",
)
@_options
def restart(engine: str | None, how: str, wait_s: float, data: Path | None, as_json: bool) -> None:
    """Start the worker of ENGINE anew, also one that was given up."""
    _mend(data, "restart", engine, wait_s, as_json, how=how)


@service.command()
@_options
def unload(engine: str | None, wait_s: float, data: Path | None, as_json: bool) -> None:
    """Give the memory of ENGINE back; the next job loads it again."""
    _mend(data, "unload", engine, wait_s, as_json)


@service.command()
@_options
def load(engine: str | None, wait_s: float, data: Path | None, as_json: bool) -> None:
    """Load ENGINE again."""
    _mend(data, "load", engine, wait_s, as_json)


@service.command()
@_options
def release(engine: str | None, wait_s: float, data: Path | None, as_json: bool) -> None:
    """Give back what the worker of ENGINE keeps only to be quicker; jobs go on."""
    _mend(data, "release", engine, wait_s, as_json)


@service.command()
@click.option("--cache", is_flag=True, help="Also forget the passages that were spoken before.")
@existing_data_option
@json_option
def clean(cache: bool, data: Path | None, as_json: bool) -> None:
    """Remove half-written files of killed processes, and shorten the store's log."""
    told = _ask(data, "clean", {"cache": cache}, GRACE_S)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(
        f"{format_bytes(told['given_back_bytes'])} given back: {told['files']} half-written files with "
        f"{format_bytes(told['temporary_bytes'])}, {format_bytes(told['log_bytes'])} of the store's log, "
        f"{format_bytes(told['cache_bytes'])} of the cache"
    )


def _mend(data: Path | None, action: str, engine: str | None, wait_s: float, as_json: bool, **query: str) -> None:
    named = {} if engine is None else {"engine": engine}
    told = _ask(data, action, {"wait_s": wait_s} | named | query, wait_s + GRACE_S)
    click.echo(json.dumps(told, indent=2) if as_json else in_words(told))


def in_words(told: dict[str, Any]) -> str:
    """``vibevoice: unload, now unloaded; 5.2 GiB of host memory given back (6.1 GiB before, 0.9 GiB after)``"""
    begin = f"{told['engine']}: {told['action']}"
    if not told["done"]:
        return f"{begin} is on its way; the worker is {told['state']} still"
    pieces = [
        f"{format_bytes(told['given_back'][name])} {what} given back "
        f"({format_bytes(told['before'][name])} before, {format_bytes(told['after'][name])} after)"
        for name, what in _WHAT.items()
        if told["given_back"] is not None and told["given_back"][name] is not None
    ]
    return "; ".join([f"{begin}, now {told['state']}", *pieces])


def _ask(data: Path | None, action: str, query: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """
    Raises:
        LongtakeError: No server runs there, it does not answer, or it refuses.
    """
    settings = load_settings(data=data)
    if not settings.data.expanduser().is_dir():
        raise InputError(f"There is no data folder {settings.data}. Name one with --data.", code="data_folder")
    url = server_of(DataFolder(settings.data))
    headers = {"User-Agent": CLI_AGENT}
    if settings.server.api_key:
        headers["Authorization"] = f"Bearer {settings.server.api_key}"
    try:
        answer = httpx.post(
            f"{url}/v1/admin/{action}", params=query, headers=headers, timeout=timeout_s, trust_env=False
        )
        body: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise WorkerError(
            f"The server at {url} does not answer ({str(error) or type(error).__name__}). Look into the logs in "
            f"{settings.data}/logs; if it hangs, stop it and start it again: no job is lost."
        ) from error
    if answer.is_success:
        return body
    raise _refusal(answer.status_code, body)


def _refusal(status: int, body: dict[str, Any]) -> LongtakeError:
    error = body.get("error") or {}
    message = str(error.get("message") or f"The server refused ({status}).")
    if status == 401:
        message += " The key is read from LONGTAKE_SERVER__API_KEY or the settings file, as the server's is."
    kind = WorkerError if status >= 500 else ConflictError if status == 409 else InputError
    return kind(message, code=str(error.get("code") or "refused"))
