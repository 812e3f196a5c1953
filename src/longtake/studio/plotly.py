"""Plotly's script for the charts, as its Python package brings it: nothing is fetched from another host."""

from __future__ import annotations

from importlib import metadata, resources
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

_PATH: Final = "/studio/plotly.js"
# With the version in its address it may be kept for good.
ADDRESS: Final = f"{_PATH}?{metadata.version('plotly')}"


def routes() -> APIRouter:
    """One route, open to all: it is a public library."""
    router = APIRouter(include_in_schema=False)

    @router.get(_PATH)
    def plotly() -> Response:
        script = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
        return Response(
            script,
            media_type="text/javascript; charset=utf-8",
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )

    return router
