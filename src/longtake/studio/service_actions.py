"""What the tab Service does: asks the API and says what came of it. Knows no event and no place on the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from longtake.studio import service_html as html
from longtake.studio.check_html import complaint_html
from longtake.studio.client import MENDINGS, Api, ApiError
from longtake.studio.service_tab import ServiceTab
from longtake.studio.text import choose_language, say

Updates = dict[Any, Any]

_VERBS = MENDINGS.keys() | {"clean", "clean_cache", "doctor"}


class ServiceActions:
    """The handlers of the tab's events. Every answer is `{component: update}`; no ApiError gets out."""

    def __init__(self, api: Api, tab: ServiceTab) -> None:
        self._api = api
        self._tab = tab

    async def act(self, verb: str, engine: str, language: str) -> AsyncIterator[Updates]:
        """A button was clicked, or it is time to look, which is also what a word does that nobody knows."""
        language, tab = choose_language(language), self._tab
        place = tab.doctor if verb == "doctor" else tab.result
        if verb in _VERBS:  # the answer may take a while
            yield {place: f'<p class="lt-quiet" role="status">{say(language, "svc_working")}</p>'}
            try:
                yield {place: await self._do(verb, engine, language)}
            except ApiError as error:
                yield {place: complaint_html(error.told(language))}
        if verb != "doctor":
            yield await self.look(language)

    async def _do(self, verb: str, engine: str, language: str) -> str:
        match verb:
            case "doctor":
                return html.doctor_html(language, await self._api.doctor())
            case "clean" | "clean_cache":
                return html.cleaned_html(language, await self._api.clean(with_cache=verb == "clean_cache"))
            case _:
                return html.mended_html(language, await self._api.mend(verb, engine))

    async def look(self, language: str) -> Updates:
        """Workers, alerts and crashes as they are now."""
        tab = self._tab
        try:
            return {
                tab.workers: html.workers_html(language, await self._api.monitor()),
                tab.alerts: html.alerts_html(language, await self._api.alerts()),
                tab.crashes: html.crashes_html(language, await self._api.crashes()),
            }
        except ApiError as error:
            return {tab.workers: complaint_html(error.told(language))}
