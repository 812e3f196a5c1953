"""The tab Service: where its parts stand. Knows nothing of what they do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from longtake.studio.files import Addresses
from longtake.studio.heading import title_html
from longtake.studio.script import script
from longtake.studio.service_html import clean_html, doctor_button_html, report_html
from longtake.studio.text import FIRST_LANGUAGE

_TITLES = ("svc_workers", "svc_alerts", "svc_crashes", "svc_report", "svc_data", "svc_doctor")


@dataclass(frozen=True, slots=True)
class ServiceTab:
    """Its parts.

    Attributes:
        titles: One for each of `_TITLES`.
        result: What the last action did.
        report_at: Address of the reports.
    """

    titles: tuple[Any, ...]
    workers: Any
    result: Any
    alerts: Any
    crashes: Any
    report: Any
    clean: Any
    examine: Any
    doctor: Any
    report_at: str

    def clicked(self) -> tuple[Any, ...]:
        """The parts with buttons."""
        return self.workers, self.clean, self.examine

    def shown(self) -> tuple[Any, ...]:
        """The parts that an action fills."""
        return self.workers, self.result, self.alerts, self.crashes, self.doctor

    def components(self) -> Iterator[Any]:
        yield from (*self.titles, *self.shown(), self.report, self.clean, self.examine)

    def relabel(self, language: str) -> dict[Any, Any]:
        """Updates that make the fixed words those of a language; what was said in another goes."""
        titles = {part: title_html(language, key) for part, key in zip(self.titles, _TITLES, strict=True)}
        return titles | {
            self.report: report_html(language, self.report_at),
            self.clean: clean_html(language),
            self.examine: doctor_button_html(language),
            self.result: "",
            self.doctor: "",
        }


def build_service(addresses: Addresses) -> ServiceTab:
    """Inside a tab."""
    clicks, clicks_and_looks = script("service.js"), script("service.js", "look.js")

    def part(name: str, value: str = "", js: str | None = None) -> Any:
        return gr.HTML(value, elem_id=f"lt-service-{name}", js_on_load=js, apply_default_css=False)

    made: dict[str, Any] = {}
    titles: dict[str, Any] = {}

    def title(key: str) -> None:
        titles[key] = part(f"title-{key[4:]}", title_html(FIRST_LANGUAGE, key))

    title("svc_workers")
    made["workers"] = part("workers", js=clicks_and_looks)
    made["result"] = part("result")
    with gr.Row():
        with gr.Column(min_width=320):
            title("svc_alerts")
            made["alerts"] = part("alerts")
            title("svc_crashes")
            made["crashes"] = part("crashes")
        with gr.Column(min_width=320):
            title("svc_report")
            made["report"] = part("report", report_html(FIRST_LANGUAGE, addresses.report))
            title("svc_data")
            made["clean"] = part("clean", clean_html(FIRST_LANGUAGE), clicks)
            title("svc_doctor")
            made["examine"] = part("examine", doctor_button_html(FIRST_LANGUAGE), clicks)
            made["doctor"] = part("doctor")
    return ServiceTab(titles=tuple(titles[key] for key in _TITLES), report_at=addresses.report, **made)
