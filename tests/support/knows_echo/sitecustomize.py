"""Python imports this at its start when it lies on PYTHONPATH: the engine of tests/support/echo.py is there then."""

from __future__ import annotations

from longtake.engines import registry

registry.ENGINES = {**registry.ENGINES, "echo": "tests.support.echo:EchoAbout"}
