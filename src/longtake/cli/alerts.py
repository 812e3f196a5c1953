"""``alerts``: which there are, which are on, and whether messages arrive."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from longtake.cli.exits import EXIT_ENGINE_FAILED
from longtake.cli.options import existing_data_option, json_option
from longtake.config import AlertSettings, load_settings
from longtake.core.errors import InputError
from longtake.core.units import format_duration


@click.group()
def alerts() -> None:
    """List the alerts, or see whether their messages arrive.

    A server judges them by itself. Where messages go is set by the environment, because the addresses are secrets:
    LONGTAKE_ALERTS__URLS, with spaces between them. docs/alerts.md has examples.
    """


@alerts.command("list")
@existing_data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """Every rule with its threshold, and since when it is on."""
    from longtake.monitor.alerts.desk import require_rules, told_alerts
    from longtake.monitor.alerts.rules import RULES

    settings = load_settings(data=data)
    require_rules(settings.alerts.thresholds)
    on = told_alerts(settings.data.expanduser() / "run")
    limits = {rule.name: settings.alerts.thresholds.get(rule.name, rule.threshold) for rule in RULES}
    since = {rule.name: {key: at for key, at in on.items() if key.partition("{")[0] == rule.name} for rule in RULES}
    words = {rule.name: _text(settings.alerts, rule.english, rule.chinese)[0] for rule in RULES}
    if as_json:
        rows = [
            {
                "name": rule.name,
                "severity": rule.severity,
                "expression": rule.measures.promql(),
                "is": rule.is_,
                "threshold": limits[rule.name],
                "for_seconds": rule.for_s,
                "summary": words[rule.name],
                "on": since[rule.name],
            }
            for rule in RULES
        ]
        told = {"rules": rows, "channels": len(settings.alerts.urls)}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for rule in RULES:
        click.secho(rule.name, bold=True, nl=False)
        click.echo(f"  {rule.severity}: {words[rule.name]}")
        lasts = f" for {format_duration(rule.for_s)}" if rule.for_s else ""
        click.echo(f"    {rule.measures.promql()} {rule.is_} {limits[rule.name]:g}{lasts}")
        for key, at in since[rule.name].items():
            click.secho(f"    ON, told {format_duration(time.time() - at)} ago: {key}", fg="red")
    channels = len(settings.alerts.urls)
    click.echo(f"Messages go to {channels} places." if channels else "Messages go nowhere: alerts.urls is not set.")


@alerts.command()
@json_option
def test(as_json: bool) -> None:
    """Send a message to every address that is set, and say what became of it."""
    from longtake.monitor.alerts.send import Channels, Message

    settings = load_settings().alerts
    if not settings.urls:
        raise InputError(
            "There is no address to send to. Set LONGTAKE_ALERTS__URLS, for example to json://127.0.0.1:8000/alerts; "
            "docs/alerts.md has more.",
            code="no_channels",
            param="alerts.urls",
        )
    title, body = _text(
        settings,
        ("longtake: a test", "Alerts of longtake arrive here."),
        ("longtake: 测试", "longtake 的告警会发送到这里。"),
    )
    deliveries = Channels([url.get_secret_value() for url in settings.urls]).send(Message(title, body))
    if as_json:
        told = [{"channel": each.channel, "sent": each.is_sent, "reason": each.reason} for each in deliveries]
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        for each in deliveries:
            click.echo(f"{each.channel}: {'sent' if each.is_sent else f'not sent: {each.reason}'}")
    if not all(each.is_sent for each in deliveries):
        sys.exit(EXIT_ENGINE_FAILED)


def _text(settings: AlertSettings, english: tuple[str, str], chinese: tuple[str, str]) -> tuple[str, str]:
    return chinese if settings.language == "zh" else english
