"""What the page does: asks the API and says which components change. Knows no event and no place on the page."""

from __future__ import annotations

import secrets
from typing import Any

import gradio as gr

from longtake.core.errors import InputError
from longtake.core.units import format_bytes, parse_time
from longtake.studio.casting import offer_voices
from longtake.studio.check_html import complaint_html, findings_html, speaker_label, summary_html
from longtake.studio.client import Api, ApiError
from longtake.studio.job_html import ENDED, health_html, job_html, jobs_html, player_html, player_key
from longtake.studio.layout import VOICE_ROWS, Layout
from longtake.studio.text import choose_language, say, say_count
from longtake.wire.check import CheckedSpeaker, CheckView
from longtake.wire.jobs import JobView

RECENT_JOBS = 10
_VOICE_CHOSEN = "voice_missing"
_FILE_PROBLEMS = frozenset({"file_too_large", "file_unreadable", "unreachable"})
SERVER_CHOOSES = ""  # the value of the choice that takes a pick back
_HEALTHY_LOOK_S, _SICK_LOOK_S = 30.0, 3.0
_JOB_LOOK_S, _RESTING_JOB_LOOK_S = 1.0, 5.0

Updates = dict[Any, Any]
Picks = dict[str, str]
Cast = list[tuple[str, int]]


class Actions:
    """The handlers of one page's events. Every answer is `{component: update}`; no ApiError gets out.

    Args:
        files_at: Address under which the browser finds the files of jobs; see `player_html`.
        max_file_bytes: What the browser was told about script files.
    """

    def __init__(self, api: Api, layout: Layout, files_at: str, max_file_bytes: int) -> None:
        self._api = api
        self._page = layout
        self._files_at = files_at
        self._max_file_bytes = max_file_bytes

    async def boot(self, wished_language: str, job_id: str, draft: str) -> Updates:
        """The page has been loaded: language, engines, health, the job that its address names, the newest jobs."""
        page, language = self._page, choose_language(wished_language)
        updates = page.relabel(language) | {page.language: language, page.summary: summary_html(language, None)}
        if draft:
            updates[page.script] = gr.update(**updates[page.script], value=draft)
        updates |= await self._models(language) | await self.look_at_health(language)
        return updates | await self.show_job(job_id, language) | await self.list_jobs(language, job_id)

    async def switch_language(self, language: str, job_id: str) -> Updates:
        """Everything on the page but the check, which is made again."""
        page, language = self._page, choose_language(language)
        updates = page.relabel(language) | {page.language: language} | await self.look_at_health(language)
        return updates | await self.show_job(job_id, language) | await self.list_jobs(language, job_id)

    async def look_at_health(self, language: str) -> Updates:
        """The banner at the top, and when to look again: soon, while something is wrong."""
        try:
            html = health_html(language, await self._api.readiness())
        except ApiError as error:
            html = f'<div class="lt-banner">{complaint_html(error.told(language))}</div>'
        look_s = _SICK_LOOK_S if html else _HEALTHY_LOOK_S
        return {self._page.health: gr.update(value=html, visible=bool(html)), self._page.health_tick: gr.Timer(look_s)}

    def tell_opened(self, problem: str, message: str, language: str) -> Updates:
        """What became of a file: the problem that the browser had with it, or what the server said; nothing if well."""
        if problem in _FILE_PROBLEMS:
            message = say(language, problem, limit=format_bytes(self._max_file_bytes))
        return {self._page.complaint: complaint_html(message) if message else ""}

    async def check(
        self, script: str, model: str | None, speed: float, picks: Picks, cast: Cast, language: str
    ) -> Updates:
        """Judge the script as it is now."""
        page = self._page
        if not script.strip():
            return self._checked(language, None, None)
        body: dict[str, Any] = {"script": script, "model": model, "speed": speed}
        try:
            check = await self._api.check(body)
            wanted = _wanted(picks, [(each.label, each.number) for each in check.speakers])
            if wanted:
                # Numbers may have moved with the text, so the names of this very text say whose voice is whose.
                check = await self._api.check({**body, "voices": wanted})
            # The row shows the voice that the server chose, so it need not be told that it did.
            findings = [finding for finding in check.findings if finding.code != _VOICE_CHOSEN]
            check = check.model_copy(update={"findings": findings})
            return self._checked(language, check, None) | await self._rows(language, check, model, picks)
        except ApiError as error:
            return self._checked(language, None, error) | {page.cast: cast}

    def _checked(self, language: str, check: CheckView | None, error: ApiError | None) -> Updates:
        page = self._page
        updates: Updates = {
            page.summary: summary_html(language, check),
            page.findings: complaint_html(error.told(language)) if error else findings_html(language, check),
            page.start: gr.update(interactive=check is not None and check.ok and check.fits),
            page.complaint: "",
        }
        if check is None and error is None:
            updates |= {row: gr.update(visible=False) for row in page.voices}
            updates |= {part: gr.update(visible=False) for part in (page.speakers_title, page.more_speakers)}
            updates[page.cast] = []
        return updates

    async def _rows(self, language: str, check: CheckView, model: str | None, picks: Picks) -> Updates:
        page, speakers = self._page, check.speakers
        voices = await self._api.voices(model) if model else []
        by_language = check.estimate.by_language if check.estimate is not None else {}
        languages = sorted(by_language, key=by_language.__getitem__, reverse=True)
        characters = sum(speaker.characters for speaker in speakers)
        updates: Updates = {
            page.speakers_title: gr.update(visible=bool(speakers)),
            page.cast: [(speaker.label, speaker.number) for speaker in speakers[:VOICE_ROWS]],
        }

        def row(speaker: CheckedSpeaker | None) -> Any:
            if speaker is None:
                return gr.update(visible=False)
            voice = picks.get(speaker.label) or speaker.voice
            choices = offer_voices(voices, voice, languages)
            if speaker.label in picks:
                choices.insert(0, (say(language, "server_chooses"), SERVER_CHOOSES))
            label = speaker_label(language, speaker, characters)
            return gr.update(visible=True, label=label, choices=choices, value=voice)

        for place, part in enumerate(page.voices):
            updates[part] = row(speakers[place] if place < len(speakers) else None)
        more = len(speakers) - VOICE_ROWS
        told = say_count(language, "more_speakers", more) if more > 0 else ""
        updates[page.more_speakers] = gr.update(value=f'<p class="lt-quiet">{told}</p>', visible=more > 0)
        return updates

    def pick(self, place: int, voice: str | None, picks: Picks, cast: Cast) -> Picks:
        """The user chose a voice for the speaker in a row; nothing means the server's choice again."""
        if place >= len(cast):
            return picks
        others = {label: kept for label, kept in picks.items() if label != cast[place][0]}
        wanted = (voice or SERVER_CHOOSES).strip()
        return others if wanted == SERVER_CHOOSES else others | {cast[place][0]: wanted}

    async def start(
        self,
        script: str,
        model: str | None,
        response_format: str,
        loudness: str,
        speed: float,
        picks: Picks,
        cast: Cast,
        language: str,
        click_key: str,
    ) -> Updates:
        """Submit the job and show it."""
        body = {
            "script": script,
            "model": model,
            "voices": _wanted(picks, cast),
            "speed": speed,
            "response_format": response_format,
            "loudness": loudness,
        }
        try:
            job = await self._api.submit(body, click_key or secrets.token_hex(16))
        except ApiError as error:
            return {self._page.complaint: complaint_html(error.told(language))}
        updates = {self._page.complaint: "", self._page.job_id: job.id} | self._job(job, language, "")
        return updates | await self.list_jobs(language, job.id)

    async def show_job(self, job_id: str, language: str, shown_player: str = "") -> Updates:
        """The panel of a job as it stands; hidden without one."""
        if not job_id:
            return self._no_job()
        try:
            return {self._page.job_id: job_id} | self._job(await self._api.job(job_id), language, shown_player)
        except ApiError as error:
            return self._job_trouble(error, language)

    async def follow_job(self, job_id: str, language: str, shown_player: str) -> Updates:
        """One beat of the clock while a job is being spoken; its end shows in the list, too."""
        updates = await self.show_job(job_id, language, shown_player)
        if updates.get(self._page.job_id) == job_id:
            del updates[self._page.job_id]  # the user may have turned to another job meanwhile
        if self._page.shown_player in updates:  # it is in another state
            updates |= await self.list_jobs(language, job_id)
        return updates

    async def steer(self, verb: str, job_id: str, language: str, shown_player: str) -> Updates:
        """Pause, resume or cancel; without an id the user thought better of it."""
        if not job_id:
            return {self._page.complaint: ""}
        try:
            updates = self._job(await self._api.steer(job_id, verb), language, shown_player)
        except ApiError as error:
            return {self._page.complaint: complaint_html(error.told(language))}
        return updates | {self._page.complaint: ""} | await self.list_jobs(language, job_id)

    async def again(self, time: str, job_id: str, language: str) -> Updates:
        """Speak the job again from a time on, such as 12:30."""
        page = self._page
        try:
            from_s = parse_time(time or "", "from")
        except InputError:
            return {page.complaint: complaint_html(say(language, "again_no_time", time=(time or "")[:40]))}
        try:
            updates = self._job(await self._api.again(job_id, from_s), language, "")  # another take, another player
        except ApiError as error:
            return {page.complaint: complaint_html(error.told(language))}
        return updates | {page.complaint: "", page.again_from: ""} | await self.list_jobs(language, job_id)

    async def list_jobs(self, language: str, job_id: str) -> Updates:
        try:
            return {self._page.recent: jobs_html(language, await self._api.jobs(RECENT_JOBS), job_id)}
        except ApiError:  # the banner tells it already
            return {self._page.recent: gr.update()}

    async def _models(self, language: str) -> Updates:
        page = self._page
        try:
            models = await self._api.models()
        except ApiError as error:
            return {page.complaint: complaint_html(error.told(language))}
        choices = [(model.name, model.id) for model in models]
        first = models[0].id if models else None
        label = say(language, "model")
        return {page.model: gr.update(choices=choices, value=first, visible=len(models) > 1, label=label)}

    def _job(self, job: JobView, language: str, shown_player: str) -> Updates:
        page = self._page
        key = f"{language} {player_key(job)}"
        updates: Updates = {
            page.job_panel: gr.update(visible=True),
            page.job: job_html(language, job),
            page.job_tick: gr.Timer(
                _RESTING_JOB_LOOK_S if job.state == "paused" else _JOB_LOOK_S, active=job.state not in ENDED
            ),
        }
        buttons = {"pause": page.pause, "resume": page.resume, "cancel": page.cancel}
        is_any_useful = any(verb in job.can for verb in buttons)
        for verb, button in buttons.items():
            updates[button] = gr.update(interactive=verb in job.can, visible=is_any_useful)
        for part in (page.again_from, page.again):
            updates[part] = gr.update(visible="again" in job.can)
        shown = f"{key} {job.state}"
        if shown != shown_player:
            updates[page.shown_player] = shown
        if key != shown_player.rpartition(" ")[0]:
            updates[page.player] = player_html(language, job, self._files_at)
        return updates

    def _no_job(self) -> Updates:
        page = self._page
        return {
            page.job_panel: gr.update(visible=False),
            page.job_id: "",
            page.shown_player: "",
            page.job_tick: gr.Timer(active=False),
        }

    def _job_trouble(self, error: ApiError, language: str) -> Updates:
        """Without an answer the page asks on, and what it showed stays below; a job that is not there is let go."""
        page = self._page
        if error.key == "unreachable":
            return {page.job: complaint_html(error.told(language)), page.job_tick: gr.Timer(_RESTING_JOB_LOOK_S)}
        return self._no_job() | {page.complaint: complaint_html(error.told(language))}


def _wanted(picks: Picks, cast: Cast) -> dict[str, str]:
    """The user's choices by the speakers' numbers, as the API takes them."""
    return {str(number): picks[label] for label, number in cast if label in picks}
