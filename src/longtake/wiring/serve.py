"""The web process put together: host, API, studio, uvicorn."""

from __future__ import annotations

import socket

import uvicorn

from longtake.config import Settings
from longtake.server import Backend, build_app
from longtake.wiring.host import open_host

# Streams of listeners end by themselves when their client notices; they may not hold up a stop for longer than this.
GRACE_S = 2


def run_server(settings: Settings, listener: socket.socket, *, with_studio: bool) -> None:
    """Serve until SIGINT or SIGTERM; then stop the workers in good order."""
    host_name, port = listener.getsockname()[:2]
    url = f"http://{f'[{host_name}]' if ':' in host_name else host_name}:{port}"
    with open_host(settings, workers=True) as host:
        backend = Backend(
            store=host.store,
            folder=host.folder,
            intake=host.intake,
            workers=host.statuses,
            wake=host.wake,
            clock=host.clock,
            restart=host.restart,
        )
        app = build_app(backend, settings.server)
        if with_studio:
            from longtake.studio import mount_studio  # here: gradio takes seconds to import

            app = mount_studio(app, url, api_key=settings.server.api_key)
        config = uvicorn.Config(
            app, log_level="info", access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False
        )
        print(f"longtake listens on {url}", flush=True)
        uvicorn.Server(config).run(sockets=[listener])
