"""The four tabs of the page: what each is called, and what is in those beside the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from longtake.studio.files import Addresses
from longtake.studio.logs_tab import build_logs
from longtake.studio.monitor_tab import build_monitor
from longtake.studio.service_tab import ServiceTab, build_service
from longtake.studio.text import FIRST_LANGUAGE, say

NAMES = ("speak", "monitor", "logs", "service")


@dataclass(frozen=True, slots=True)
class Tabs:
    """
    Attributes:
        tabs: One for each of `NAMES`.
        service: What is in the last one. Monitor and Logs are the browser's own.
    """

    tabs: tuple[Any, ...]
    service: ServiceTab

    @property
    def service_tab(self) -> Any:
        return self.tabs[-1]

    def components(self) -> Iterator[Any]:
        """All that an event changes."""
        yield from self.tabs
        yield from self.service.components()

    def relabel(self, language: str) -> dict[Any, Any]:
        """Updates that make the fixed words those of a language."""
        names = {tab: gr.update(label=say(language, f"tab_{name}")) for tab, name in zip(self.tabs, NAMES, strict=True)}
        return names | self.service.relabel(language)


def build_tabs(addresses: Addresses, build_speak: Callable[[], None]) -> Tabs:
    """Inside a `gr.Blocks`. A tab's parts come to be in the browser when it is opened."""
    tabs: list[Any] = []

    def tab(name: str) -> Any:
        tabs.append(gr.Tab(say(FIRST_LANGUAGE, f"tab_{name}"), id=name, elem_id=f"lt-tab-{name}"))
        return tabs[-1]

    with gr.Tabs(elem_id="lt-tabs"):
        with tab("speak"):
            build_speak()
        with tab("monitor"):
            build_monitor(addresses)
        with tab("logs"):
            build_logs(addresses)
        with tab("service"):
            service = build_service(addresses)
    return Tabs(tuple(tabs), service)
