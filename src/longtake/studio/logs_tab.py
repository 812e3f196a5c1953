"""The tab Logs. The browser asks the API for lines and follows them; Python does nothing."""

from __future__ import annotations

from typing import Any

import gradio as gr

from longtake.studio.files import Addresses
from longtake.studio.script import script
from longtake.studio.tab_text import LOGS


def build_logs(addresses: Addresses) -> Any:
    """Inside a tab. The script makes all of it, in the language that the page has just then."""
    return gr.HTML(
        "",
        elem_id="lt-logs",
        js_on_load=script("logs.js", config={"logs": addresses.logs}, words=LOGS),
        apply_default_css=False,
    )
