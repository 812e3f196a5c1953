"""HTTP: OpenAI's speech route, jobs, voices, checks, health, metrics. Reads and writes the store; never speaks."""

from longtake.server.app import Backend, build_app

__all__ = ["Backend", "build_app"]
