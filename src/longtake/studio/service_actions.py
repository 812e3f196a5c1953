"""What the tab Service does: asks the API and says what came of it. Knows no event and no place on the page."""

from __future__ import annotations

from typing import Any

from longtake.studio import service_html as html
from longtake.studio.check_html import complaint_html
from longtake.studio.client import Api, ApiError
from longtake.studio.service_tab import ServiceTab
from longtake.studio.text import choose_language, say

Updates = dict[Any, Any]

_MENDINGS = frozenset({"restart", "drain", "unload", "load", "release"})


class ServiceActions:
    """The handlers of the tab's events. Every answer is `{component: update}`; no ApiError gets out."""

    def __init__(self, api: Api, tab: ServiceTab) -> None:
        self._api = api
        self._tab = tab

    async def act(self, verb: str, engine: str, language: str) -> Updates:
        """A button was clicked, or it is time to look. A word that is not known does nothing."""
        language = choose_language(language)
        if verb == "look":
            return await self.look(language)
        tab = self._tab
        try:
            if verb in _MENDINGS:
                done = {tab.result: html.mended_html(language, await self._api.mend(verb, engine))}
            elif verb in ("clean", "clean_cache"):
                cleaned = await self._api.clean(with_cache=verb == "clean_cache")
                done = {tab.result: html.cleaned_html(language, cleaned)}
            elif verb == "doctor":
                return {tab.doctor: html.doctor_html(language, await self._api.doctor())}
            else:
                return {}
        except ApiError as error:
            place = tab.doctor if verb == "doctor" else tab.result
            return {place: complaint_html(error.told(language))}
        return done | await self.look(language)

    def begin(self, verb: str, language: str) -> Updates:
        """What is said at once, as an answer may take a while."""
        said = f'<p class="lt-quiet" role="status">{say(choose_language(language), "svc_working")}</p>'
        if verb == "look":
            return {}
        return {self._tab.doctor if verb == "doctor" else self._tab.result: said}

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
