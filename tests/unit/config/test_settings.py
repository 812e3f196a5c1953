from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from longtake.config import Settings, load_settings
from longtake.core.errors import InputError
from longtake.jobs.desk import LEASE_S

DOCS = Path(__file__).parents[3] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("LONGTAKE_"):
            monkeypatch.delenv(name)


def names(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from names(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field.description or ""


def test_every_setting_is_documented_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| [^|]* \| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert rows == dict(names(Settings))


def test_flags_beat_environment_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "longtake.toml"
    file.write_text('disk_floor_mib = 77\n[server]\nport = 1111\nhost = "::1"\n[worker]\nmax_jobs = 9\n')
    monkeypatch.setenv("LONGTAKE_CONFIG", str(file))
    monkeypatch.setenv("LONGTAKE_SERVER__PORT", "2222")
    settings = load_settings(server={"port": None})
    assert (settings.server.port, settings.server.host, settings.worker.max_jobs) == (2222, "::1", 9)
    assert settings.disk_floor_mib == 77
    assert load_settings(server={"port": 3333}).server.port == 3333
    assert load_settings().limits.max_characters == 200_000


def test_what_was_not_given_is_not_set() -> None:
    assert load_settings(engines=(), data=None, limits={"max_minutes": None}) == load_settings()


@pytest.mark.parametrize(
    ("flags", "name"),
    [({"server": {"port": 99_999}}, "server.port"), ({"limits": {"max_minutes": -1}}, "limits.max_minutes")],
)
def test_a_bad_value_is_named_with_value_and_limit(flags: dict[str, object], name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        load_settings(**flags)
    assert re.search(r"99999|-1", caught.value.message)
    assert re.search(r"65535|greater than 0", caught.value.message)


@pytest.mark.parametrize(
    ("worker", "told"),
    [
        (
            {"heartbeat_s": 11.0},
            "lease_s is 30 and heartbeat_s is 11.*heartbeat_s to at most 10, .*lease_s to at least 33",
        ),
        ({"lease_s": 29.0}, "lease_s is 29 and heartbeat_s is 10"),
        ({"stall_s": 20.0}, "stall_s is 20 and heartbeat_s is 10.*stall_s to at least 30"),
    ],
)
def test_a_heart_that_beats_too_seldom_is_refused(worker: dict[str, float], told: str) -> None:
    """Or a worker that is well would be taken for dead between two beats."""
    with pytest.raises(InputError, match=told) as refused:
        load_settings(worker=worker)
    assert refused.value.param == "worker"
    assert str(next(iter(worker.values()))) in refused.value.message, "what was given"


@pytest.mark.parametrize(
    "heat", [{"go_celsius": 75.0}, {"hold_celsius": 60.0}, {"pause_celsius": 75.0}, {"hold_celsius": 90.0}]
)
def test_temperatures_rise_from_going_on_to_pausing(heat: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must rise in this order, so that jobs do not go to and fro"):
        load_settings(heat=heat)


def test_a_temperature_that_no_card_reaches_is_refused() -> None:
    with pytest.raises(InputError, match="less than or equal to 125") as refused:
        load_settings(heat={"pause_celsius": 9999})
    assert refused.value.param == "heat.pause_celsius"


def test_three_heartbeats_fit_into_a_lease() -> None:
    worker = load_settings().worker
    assert (worker.lease_s, worker.heartbeat_s) == (LEASE_S, 10.0)
    assert load_settings(worker={"lease_s": 3.0, "heartbeat_s": 1.0}).worker.lease_s == 3.0


def test_a_missing_or_broken_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LONGTAKE_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match=r"no settings file"):
        load_settings()
    (tmp_path / "none.toml").write_text("this is [ not toml")
    with pytest.raises(InputError, match="cannot be read"):
        load_settings()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_threshold_that_nothing_is_ever_beyond_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="alerts"):
        load_settings(alerts={"thresholds": {"LongtakeDiskLow": value}})


def test_the_tree_is_frozen() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.server.port = 1  # type: ignore[misc]


def test_a_dumped_tree_comes_back_the_same_whatever_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is handed its parent's tree; its own environment must not change it again."""
    from longtake.worker.orders import Assignment

    sent = Assignment("w1", "espeak", load_settings(server={"port": 1234}), "job_1")
    monkeypatch.setenv("LONGTAKE_SERVER__PORT", "4321")
    monkeypatch.setenv("LONGTAKE_WORKER__MAX_JOBS", "77")
    assert Assignment.from_line(sent.to_line()) == sent


@pytest.mark.parametrize("text", ["espeak,vibevoice", " espeak , vibevoice ,", '["espeak", "vibevoice"]'])
def test_a_list_in_the_environment_is_written_with_commas_or_as_json(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("LONGTAKE_ENGINES", text)
    monkeypatch.setenv("LONGTAKE_SERVER__ALLOWED_HOSTS", text)
    settings = load_settings()
    assert settings.engines == settings.server.allowed_hosts == ("espeak", "vibevoice")
    monkeypatch.setenv("LONGTAKE_ENGINES", "espeak")
    assert load_settings().engines == ("espeak",)


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        ("LONGTAKE_SERVER__PORT", "many", "server.port"),
        ("LONGTAKE_SERVER__PROT", "1", "server.prot"),
        ("LONGTAKE_SERVER", '{"port": 99999}', "server.port"),
        ("LONGTAKE_ENGINES", "[1]", "engines.0"),
        ("LONGTAKE_ENGINES", "[1", "engines"),
        ("LONGTAKE_ENGINES", "", "engines"),
        ("longtake_disk_floor_mib", "0", "disk_floor_mib"),
    ],
)
def test_a_bad_value_of_the_environment_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, setting: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as refused:
        load_settings()
    assert f"The setting {setting} (environment variable {name}) is " in refused.value.message
    assert "file" not in refused.value.message


def test_a_flag_is_not_blamed_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_SERVER__PORT", "1234")
    with pytest.raises(InputError, match=r"server\.port is 99999") as refused:
        load_settings(server={"port": 99_999})
    assert "LONGTAKE" not in refused.value.message


def test_a_node_that_is_no_json_is_blamed_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAKE_SERVER", "port 1")
    with pytest.raises(InputError, match=r'environment .*"server"') as refused:
        load_settings()
    assert "file" not in refused.value.message


def test_addresses_of_alerts_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    from longtake.worker.orders import Assignment

    monkeypatch.setenv("LONGTAKE_ALERTS__URLS", "json://a/SECRET mailto://u:SECRET@b?to=c,d")
    settings = load_settings()
    assert [url.get_secret_value() for url in settings.alerts.urls] == [
        "json://a/SECRET",
        "mailto://u:SECRET@b?to=c,d",
    ]
    line = Assignment("w1", "espeak", settings).to_line()
    assert "SECRET" not in repr(settings) + str(settings.model_dump()) + line
    assert Assignment.from_line(line).settings.worker == settings.worker


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LONGTAKE_ALERTS__URLS", '["json://a/SECRET"'),
        ("LONGTAKE_ALERTS__URLS", '[{"SECRET": 1}]'),
        ("LONGTAKE_ALERTS", '{"urls": {"a": "SECRET"}}'),
        ("LONGTAKE_ALERTS", '"SECRET"'),
        ("LONGTAKE_SERVER", '{"api_key": ["SECRET"]}'),
    ],
)
def test_a_secret_that_cannot_be_used_is_not_printed_either(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as refused:
        load_settings()
    assert "SECRET" not in refused.value.message
    assert name in refused.value.message
