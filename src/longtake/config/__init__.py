"""One frozen tree of settings, built once at the entrance and handed down node by node."""

from longtake.config.settings import (
    AlertSettings,
    EngineSettings,
    HeatSettings,
    KeepSettings,
    LimitSettings,
    LogSettings,
    ReportSettings,
    ServerSettings,
    Settings,
    WorkerSettings,
    load_settings,
)

__all__ = [
    "AlertSettings",
    "EngineSettings",
    "HeatSettings",
    "KeepSettings",
    "LimitSettings",
    "LogSettings",
    "ReportSettings",
    "ServerSettings",
    "Settings",
    "WorkerSettings",
    "load_settings",
]
