"""One frozen tree of settings, built once at the entrance and handed down node by node."""

from longtake.config.settings import (
    EngineSettings,
    KeepSettings,
    LimitSettings,
    LogSettings,
    ServerSettings,
    Settings,
    WorkerSettings,
    load_settings,
)

__all__ = [
    "EngineSettings",
    "KeepSettings",
    "LimitSettings",
    "LogSettings",
    "ServerSettings",
    "Settings",
    "WorkerSettings",
    "load_settings",
]
