"""The page put together: layout, actions, and which event calls which."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import gradio as gr

from longtake.studio import examples, style
from longtake.studio.actions import Actions, Updates
from longtake.studio.client import Api
from longtake.studio.files import Addresses
from longtake.studio.layout import Layout, build_layout
from longtake.studio.service_actions import ServiceActions
from longtake.studio.tabs import Tabs

DEBOUNCE_S = 0.35
_CONCURRENT_EVENTS = 16
_WAITING_EVENTS = 64


def build_studio(api: Api, addresses: Addresses, max_file_bytes: int) -> Any:
    """The page as `gr.Blocks`, not yet mounted.

    Args:
        addresses: What the browser asks for itself.
        max_file_bytes: Larger script files are refused.
    """
    with gr.Blocks(title="longtake", analytics_enabled=False) as blocks:
        layout = build_layout(style.open_file_js(addresses.decode, max_file_bytes), addresses)
        actions = Actions(api, layout, addresses.jobs, max_file_bytes)
        _wire_head(blocks, layout, actions)
        _wire_script(layout, actions)
        _wire_job(layout, actions)
        _wire_service(layout.tabs, layout.language, ServiceActions(api, layout.tabs.service))
    blocks.queue(default_concurrency_limit=_CONCURRENT_EVENTS, max_size=_WAITING_EVENTS, api_open=False)
    return blocks


# No event is an endpoint of its own: the API stands beside the page.
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def _wire_head(blocks: Any, page: Layout, actions: Actions) -> None:
    everything = list(page.components())
    boot = blocks.load(actions.boot, [page.language, page.job_id, page.script], everything, js=style.BOOT_JS, **_QUIET)
    boot.then(None, None, None, js=style.SHOWN_JS, **_QUIET)
    page.switch.click(None, page.language, page.language, js=style.KEEP_LANGUAGE_JS, **_QUIET).then(
        actions.switch_language, [page.language, page.job_id], everything, **_QUIET
    ).then(actions.check, _check_inputs(page), _check_outputs(page), **_QUIET)
    page.health_tick.tick(actions.look_at_health, page.language, [page.health, page.health_tick], **_QUIET)
    page.health_tick.tick(actions.list_jobs, [page.language, page.job_id], page.recent, **_QUIET)


def _wire_script(page: Layout, actions: Actions) -> None:
    outputs = _check_outputs(page)

    async def check_soon(*inputs: Any) -> Updates:
        await asyncio.sleep(DEBOUNCE_S)
        return await actions.check(*inputs)

    # "always_last": one check at a time, and the last text is always judged; so typing cannot flood the server.
    gr.on(
        [page.script.change, page.speed.change],
        check_soon,
        _check_inputs(page),
        outputs,
        trigger_mode="always_last",
        **_QUIET,
    )
    page.script.change(None, page.script, None, js=style.KEEP_DRAFT_JS, **_QUIET)

    async def tell_opened(language: str, event: gr.EventData) -> Updates:
        return actions.tell_opened(str(event.problem), str(event.message), language)

    # A file is read in the browser and by the API: the page never has one.
    page.upload.select(None, page.script, page.script, js=style.TAKE_TEXT_JS, **_QUIET)
    page.upload.select(tell_opened, page.language, page.complaint, **_QUIET)
    for button, text in ((page.example_en, examples.ENGLISH), (page.example_zh, examples.CHINESE_ENGLISH)):
        button.click(functools.partial(str, text), None, page.script, **_QUIET)
    for place, row in enumerate(page.voices):
        row.input(functools.partial(actions.pick, place), [row, page.picks, page.cast], page.picks, **_QUIET).then(
            actions.check, _check_inputs(page), outputs, **_QUIET
        )
    # Another engine has other voices.
    page.model.input(dict, None, page.picks, **_QUIET).then(actions.check, _check_inputs(page), outputs, **_QUIET)


def _check_inputs(page: Layout) -> list[Any]:
    return [page.script, page.model, page.speed, page.picks, page.cast, page.language]


def _check_outputs(page: Layout) -> list[Any]:
    return [
        *(page.summary, page.findings, page.start, page.complaint, page.speakers_title, page.more_speakers, page.cast),
        *page.voices,
    ]


def _wire_job(page: Layout, actions: Actions) -> None:
    panel = [
        *(page.job_panel, page.job, page.player, page.shown_player, page.job_tick, page.job_id),
        *(page.pause, page.resume, page.cancel, page.again_from, page.again, page.recent, page.complaint),
    ]
    job = [page.job_id, page.language, page.shown_player]
    asked = [page.script, page.model, page.format, page.loudness, page.speed, page.picks, page.cast, page.language]
    started = page.start.click(actions.start, [*asked, page.click_key], panel, js=style.CLICK_KEY_JS, **_QUIET)
    started.then(None, page.job_id, None, js=style.KEEP_JOB_JS, **_QUIET)

    async def choose(language: str, event: gr.EventData) -> Updates:
        job_id = str(event.job)
        return await actions.show_job(job_id, language) | await actions.list_jobs(language, job_id)

    chosen = page.recent.select(choose, page.language, panel, **_QUIET)
    chosen.then(None, page.job_id, None, js=style.KEEP_JOB_JS, **_QUIET)
    page.job_tick.tick(actions.follow_job, job, panel, **_QUIET)
    for verb, button in (("pause", page.pause), ("resume", page.resume)):
        button.click(_steering(actions, verb), job, panel, **_QUIET)
    gr.on([page.again.click, page.again_from.submit], actions.again, [page.again_from, *job[:2]], panel, **_QUIET)
    page.cancel.click(_steering(actions, "cancel"), job, panel, js=style.confirm_js(), **_QUIET)


def _steering(actions: Actions, verb: str) -> Callable[[str, str, str], Awaitable[Updates]]:
    async def steer(job_id: str, language: str, shown_player: str) -> Updates:
        return await actions.steer(verb, job_id, language, shown_player)

    return steer


def _wire_service(tabs: Tabs, language: Any, actions: ServiceActions) -> None:
    shown = list(tabs.service.shown())

    async def act(language: str, event: gr.EventData) -> AsyncIterator[Updates]:
        async for updates in actions.act(str(event.verb), str(event.engine), language):
            yield updates

    for part in tabs.service.clicked():
        # "multiple": neither a look nor a slow answer swallows a click.
        part.select(act, language, shown, trigger_mode="multiple", **_QUIET)
