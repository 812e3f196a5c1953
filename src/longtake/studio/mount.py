"""The page beside the API, in one application."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import gradio as gr
from fastapi import FastAPI, Request

from longtake.studio import files, plotly, style, tab_style
from longtake.studio.client import Api
from longtake.studio.door import PageMount
from longtake.studio.studio import build_studio
from longtake.studio.text import LANGUAGES, say


def mount_studio(app: FastAPI, api_url: str, *, api_key: str | None, max_file_bytes: int) -> FastAPI:
    """Mount the page at `/`. Routes that `app` already has go first, and what the page does not need is still theirs.

    Without a key the page is open, as the API is, and the browser fetches audio from the API. With a key the page asks
    for it (any user name, the key as password) before it shows or does anything, and passes audio on itself.

    Args:
        api_url: Where this very application listens; the page speaks HTTP to it, as any client does.
        max_file_bytes: Larger files are not even sent; the longest body that the API takes.
    """
    api = Api(api_url, api_key)
    if api_key is not None:
        app.include_router(files.routes(api, lambda request: _is_signed_in(page, request)))
    app.include_router(plotly.routes())
    addresses = files.OPEN if api_key is None else files.GUARDED
    blocks = build_studio(api, addresses, max_file_bytes)
    app = gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        auth=None if api_key is None else _opens_with(api_key),
        auth_message=" · ".join(say(language, "sign_in") for language in LANGUAGES),
        footer_links=[],
        run_history=False,  # it would keep scripts in the browser
        allowed_paths=[],
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=style.build_theme(),
        css=style.CSS + tab_style.CSS,
        head=style.HEAD + tab_style.HEAD,
    )
    # The second wall behind `PageMount`: without this Gradio believes that every path comes from the developer.
    blocks.has_launched = True
    page = app.router.routes.pop().app  # type: ignore[attr-defined]  # Gradio's application, which it has just mounted
    app.router.routes.append(PageMount(page))
    return app


def _opens_with(api_key: str) -> Callable[[str, str], bool]:
    expected = hashlib.sha256(api_key.encode()).digest()

    def opens(user: str, password: str) -> bool:
        # Digests are compared, so the time tells neither the key's length nor its beginning.
        return hmac.compare_digest(hashlib.sha256(password.strip().encode()).digest(), expected)

    return opens


def _is_signed_in(page: object, request: Request) -> bool:
    """Whether the request has the cookie that Gradio gave after the sign-in. Gradio has no function to ask."""
    tokens: dict[str, str] = page.tokens  # type: ignore[attr-defined]
    cookie_id: str = page.cookie_id  # type: ignore[attr-defined]
    names = (f"access-token-{cookie_id}", f"access-token-unsecure-{cookie_id}")
    return any(request.cookies.get(name, "") in tokens for name in names)
