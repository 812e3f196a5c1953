"""The web process put together: host, API, studio, uvicorn."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn

from longtake.config import Settings
from longtake.server import Backend, build_app
from longtake.server.errors import unfinished_is_told
from longtake.wire.doctor import Examined
from longtake.wiring.address import announced
from longtake.wiring.host import open_host
from longtake.wiring.logs import logging_as, stacks_kept
from longtake.wiring.machine import machine_of
from longtake.wiring.report import report_sources

# Streams of listeners end by themselves when their client notices; they may not hold up a stop for longer than this.
GRACE_S = 2
# An answer lets go of Python's lock some twenty times, and gets it back after this long when another thread computes,
# as the watch does once a second: with Python's own 5 ms that is a tenth of a second.
SWITCH_S = 0.0005


def run_server(
    settings: Settings,
    listener: socket.socket,
    *,
    with_studio: bool,
    examine: Callable[[], Sequence[Examined]] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; then stop the workers in good order.

    Args:
        examine: The doctor, who looks at this room and cannot be imported by it.
    """
    sys.setswitchinterval(SWITCH_S)
    host_name, port = listener.getsockname()[:2]
    url = f"http://{f'[{host_name}]' if ':' in host_name else host_name}:{port}"
    with (
        logging_as("web", settings, console=sys.stderr),
        open_host(settings, workers=True) as host,
        stacks_kept("web", host.folder),  # last: the host has read by now what its predecessor left there
    ):
        backend = Backend(
            store=host.store,
            folder=host.folder,
            intake=host.intake,
            workers=host.statuses,
            wake=host.wake,
            clock=host.clock,
            machine=machine_of(host),
            mending=host.mending,
            clean=host.clean,
            report=report_sources(host.store, host.folder, settings),
            alerts=settings.alerts,
            examine=examine,
        )
        app = build_app(backend, settings.server)
        if with_studio:
            from longtake.studio import mount_studio  # here: gradio takes seconds to import

            server = settings.server
            app = mount_studio(app, url, api_key=server.api_key, max_file_bytes=server.body_max_bytes)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False
        )
        logging.getLogger("uvicorn.error").addFilter(unfinished_is_told)
        print(f"longtake listens on {url}", flush=True)
        # Once it has stopped, uvicorn raises the signal again.
        with contextlib.suppress(KeyboardInterrupt), announced(host.folder, _near(url)):
            _Server(config).run(sockets=[listener])


def _near(url: str) -> str:
    """Where the same server is reached from this machine, when it listens on every address."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


class _Server(uvicorn.Server):
    """A second signal of either kind does not wait: the workers see their pipe end and leave in good order."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(130)  # as the command line does for both signals
        super().handle_exit(sig, frame)
