"""The settings tree: flags over environment over file over these defaults. Knows no room that uses it.

Environment: ``LONGTAKE_DATA``, ``LONGTAKE_SERVER__PORT`` … (two underscores go one level down).
File: TOML, named by ``--config`` or ``LONGTAKE_CONFIG``. docs/settings.md lists every setting; a test keeps it so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import platformdirs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from longtake.core.errors import InputError
from longtake.core.units import parse_size

ENVIRONMENT = "LONGTAKE_"
HOTTEST_CELSIUS = 125  # no card lives beyond it: a threshold there would never be reached
BEATS_HEARD = 3  # so many heartbeats at least fit into every time after which a worker is given up


def _words(value: object) -> object:
    """``espeak, vibevoice`` and ``["espeak", "vibevoice"]`` are the same list in the environment."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _secrets(value: object) -> object:
    """Like words, but a comma may be part of a secret."""
    if not isinstance(value, str) or value.lstrip().startswith("["):
        return _words(value)
    return tuple(value.split())


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_secrets)]  # no word of them is ever printed
SECRET = ("alerts", "alerts.urls", "server.api_key")  # settings whose value no message names


class Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Node):
    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs `api_key`.")
    port: int = Field(7860, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_key: str | None = Field(None, description="Key that clients must send as `Authorization: Bearer …`.")
    allowed_hosts: Words = Field((), description="Host names beside loopback that requests may address.")
    speech_max_characters: int = Field(4096, ge=1, description="Longest `input` of POST /v1/audio/speech.")
    body_max_bytes: int = Field(4_000_000, ge=1024, description="Longest request body.")
    recording_max_bytes: int = Field(
        20_000_000, ge=1024, description="Longest request body that brings a recording (POST /v1/audio/voices)."
    )


class LimitSettings(Node):
    max_characters: int = Field(200_000, ge=1, description="Longest script of a job, in characters.")
    max_minutes: float = Field(600.0, gt=0, description="Longest audio of a job, by its estimate, in minutes.")
    max_queued_jobs: int = Field(500, ge=1, description="Jobs accepted and not ended.")
    max_queued_hours: float = Field(200.0, gt=0, description="Audio accepted and not yet spoken, in hours.")


class KeepSettings(Node):
    days: float | None = Field(
        None,
        gt=0,
        description="Jobs are deleted with their audio so many days after they ended (an earlier version: after it "
        "became one and the new take ended); never when unset.",
    )
    gb: float | None = Field(
        None,
        gt=0,
        description="When the files of all jobs take more GB (10⁹ bytes), the jobs that ended first are deleted. A "
        "file that several jobs have, as with an earlier version, counts once.",
    )


class AlertSettings(Node):
    urls: Secrets = Field(
        (),
        description="Where alerts are sent: addresses of Apprise, with spaces between them. They are secrets, so they "
        "come from the environment or the file alone.",
    )
    language: Literal["en", "zh"] = Field("en", description="Language of the messages: en, zh.")
    repeat_hours: float = Field(4.0, gt=0, description="An alert that is still on is told again after so many hours.")
    thresholds: dict[str, FiniteFloat] = Field(
        {}, description="Name of a rule → what counts instead of its threshold; `longtake alerts list` has them all."
    )


class ReportSettings(Node):
    weekly: str | None = Field(
        None,
        pattern=r"^(mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="When a health report of the week is made, such as `mon 08:00`; never when unset.",
    )
    language: Literal["en", "zh"] = Field("en", description="Language of the weekly report: en, zh.")


class EngineSettings(Node):
    model: str | None = Field(None, description="Folder or hub id of the weights, for engines that have weights.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps.")
    dtype: str = Field(
        "auto",
        description="auto, fp32, fp16, bf16; int8 or int4: the matrices of VibeVoice's decoder so, all else as auto; "
        "behind these two +head for those of the diffusion head, too, and +fp32, +fp16 or +bf16 for all else.",
    )
    kv_dtype: str = Field("auto", description="Of keys and values: auto, as the model; int8, half of what bf16 takes.")
    memory_budget: str | None = Field(None, description="Bytes the engine may hold, such as 20GiB.")
    lora: str | None = Field(None, description="Folder or hub id of a LoRA adapter, for engines that take one.")
    graphs: bool = Field(True, description="On CUDA, tell the steps of a model as graphs, recorded once: faster.")


class WorkerSettings(Node):
    max_jobs: int = Field(
        4,
        ge=1,
        description="Jobs that one worker takes up side by side; of those that wait for memory eight do not count.",
    )
    niceness: int = Field(
        5, ge=0, le=19, description="How far workers step back behind the server and other programs, from 0 to 19."
    )
    lead_s: float = Field(120.0, gt=0, description="Audio that may be spoken but not yet encoded, a job, in seconds.")
    cache_mib: int = Field(1024, ge=0, description="Spoken passages kept for other jobs, in MiB; 0 keeps none.")
    memory_floor_mib: int = Field(
        256,
        ge=0,
        description="Memory that must stay free, in MiB; when others take it, jobs are put back into the queue.",
    )
    idle_minutes: float | None = Field(
        None,
        gt=0,
        description="A worker that has spoken nothing for so long gives its engine's memory back, and loads it again "
        "for the next job; never when unset.",
    )
    recycle_rss: str | None = Field(
        None,
        description="Resident memory, such as 24GiB, above which a worker that has grown is replaced by a fresh one; "
        "its jobs go on behind what is spoken. Never when unset.",
    )
    poll_s: float = Field(0.05, gt=0, description="How often an idle worker looks for work, in seconds.")
    heartbeat_s: float = Field(10.0, gt=0, description="How often a worker reports and renews its leases, in seconds.")
    lease_s: float = Field(
        30.0, gt=0, description="A worker that was not heard of for this long has lost its jobs, and is restarted."
    )
    stall_s: float = Field(
        300.0, gt=0, description="A worker with work whose step count stands this long is restarted."
    )
    ceiling_s: float = Field(
        3600.0,
        gt=0,
        description="A worker with work that has committed nothing for so long is restarted, though it makes steps.",
    )
    start_timeout_s: float = Field(
        900.0, gt=0, description="A worker that has not loaded its engine by then is restarted."
    )
    stop_timeout_s: float = Field(5.0, gt=0, description="Time a worker has to leave in good order.")

    @field_validator("recycle_rss")
    @classmethod
    def _is_a_size(cls, value: str | None) -> str | None:
        if value is not None:
            parse_size(value, "worker.recycle_rss")
        return value

    @model_validator(mode="after")
    def _beats_often_enough(self) -> Self:
        """One beat may be late and one be lost, to a disk that is busy, before anybody takes the worker for dead."""
        for name in ("lease_s", "stall_s"):
            patience_s = getattr(self, name)
            if patience_s < BEATS_HEARD * self.heartbeat_s:
                raise ValueError(
                    f"{name} is {patience_s:g} and heartbeat_s is {self.heartbeat_s:g}, but there must be room for "
                    f"{BEATS_HEARD} heartbeats. Set worker.heartbeat_s to at most {patience_s / BEATS_HEARD:g}, or "
                    f"worker.{name} to at least {BEATS_HEARD * self.heartbeat_s:g}"
                )
        return self


class LogSettings(Node):
    level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="What is logged: this and what matters more. debug tells of every passage."
    )
    console: Literal["auto", "pretty", "json"] = Field(
        "auto", description="How `serve` logs to its console; auto is pretty on a terminal and json elsewhere."
    )
    script_text: bool = Field(False, description="Whether errors in the log may quote the script.")


class HeatSettings(Node):
    policy: bool = Field(True, description="Whether jobs of engines on a GPU wait while a card is hot.")
    hold_celsius: float = Field(
        75.0, gt=0, le=HOTTEST_CELSIUS, description="From this temperature of a card on, no new jobs start, in °C."
    )
    go_celsius: float = Field(
        70.0, gt=0, le=HOTTEST_CELSIUS, description="Below it, waiting and paused jobs go on, in °C."
    )
    pause_celsius: float = Field(
        87.0,
        gt=0,
        le=HOTTEST_CELSIUS,
        description="From it on, or when a card's hardware slows itself down, running jobs are paused, in °C.",
    )
    rest_s: float = Field(
        30.0, ge=0, description="Time without a slowdown of the hardware before jobs go on after one, in seconds."
    )
    power_limit_watts: float | None = Field(
        None,
        gt=0,
        description="Power limit that each card is given, where that is permitted, and that is taken back at the end.",
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.go_celsius < self.hold_celsius < self.pause_celsius:
            raise ValueError(
                f"go_celsius {self.go_celsius:g}, hold_celsius {self.hold_celsius:g} and pause_celsius "
                f"{self.pause_celsius:g} must rise in this order, so that jobs do not go to and fro"
            )
        return self


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT,
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    data: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("longtake", appauthor=False)),
        description="Data folder: job store, audio, logs. Must be on a local disk.",
    )
    engines: Words = Field(("espeak",), min_length=1, description="Engines to serve; the first is the default.")
    disk_floor_mib: int = Field(64, ge=1, description="Space that must stay free in the data folder, in MiB.")
    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    keep: KeepSettings = KeepSettings()
    alerts: AlertSettings = AlertSettings()
    report: ReportSettings = ReportSettings()
    engine: EngineSettings = EngineSettings()
    worker: WorkerSettings = WorkerSettings()
    logs: LogSettings = LogSettings()
    heat: HeatSettings = HeatSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get("LONGTAKE_CONFIG")
        toml = (TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()
        return (init_settings, env_settings, *toml)


def load_settings(**flags: Any) -> Settings:
    """Build the tree; ``flags`` win over environment and file, and a flag that is None was not given.

    Args:
        flags: By name of the tree's fields; nested nodes are dictionaries.

    Raises:
        InputError: A value is out of its range, or the file cannot be read.
    """
    file = os.environ.get("LONGTAKE_CONFIG")
    if file and not Path(file).is_file():
        raise InputError(f"There is no settings file {file}.", code="invalid_setting", param="config")
    try:
        return Settings(**_given(flags))
    except ValidationError as error:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"]]
        name = ".".join(place)
        is_secret = name in SECRET or name.rpartition(".")[0] in SECRET[1:]
        shown = "not usable" if is_secret else repr(first.get("input"))
        raise InputError(
            f"The setting {name}{_origin(place, flags)} is {shown}: {first['msg'].removeprefix('Value error, ')}.",
            code="invalid_setting",
            param=name,
        ) from error
    except SettingsError as error:  # a node that is given whole, as JSON
        raise InputError(
            f"The environment ({ENVIRONMENT}…) cannot be read: {error}.", code="invalid_setting"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"The settings file {file} cannot be read: {error}.", code="invalid_setting", param="config"
        ) from error


def _origin(place: Sequence[str], flags: dict[str, Any]) -> str:
    """Names the environment variable that a value comes from; empty when it comes from elsewhere."""
    given: Any = _given(flags)
    for part in place:
        given = given.get(part) if isinstance(given, dict) else None
    if given is not None:
        return ""
    names = {name.upper(): name for name in os.environ}
    for length in range(len(place), 0, -1):  # of a list the place of the word is named, too
        if found := names.get(ENVIRONMENT + "__".join(place[:length]).upper()):
            return f" (environment variable {found})"
    return ""


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    given = {}
    for name, value in flags.items():
        if isinstance(value, dict):
            value = _given(value)
            if not value:
                continue
        if value is not None and value != ():
            given[name] = value
    return given
