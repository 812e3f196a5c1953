"""The HTTP API as the page uses it: nothing that another client could not do. Knows no page."""

from __future__ import annotations

import re
import time
from typing import Any, Final, TypeVar

import httpx
from pydantic import ValidationError

from longtake.studio.text import say
from longtake.wire.alerts import AlertList
from longtake.wire.check import CheckView
from longtake.wire.doctor import DoctorView
from longtake.wire.fields import View
from longtake.wire.health import Readiness
from longtake.wire.jobs import ErrorBody, JobList, JobView
from longtake.wire.listings import ModelList, ModelView, VoiceList, VoiceView
from longtake.wire.logs import CrashList, CrashView
from longtake.wire.mending import STUDIO_AGENT, CleanedView, MendedView
from longtake.wire.monitor import Snapshot

V = TypeVar("V", bound=View)

JOB_ID: Final = re.compile(r"job_[0-9A-Za-z_-]{1,60}")
_JOBS = "/v1/audio/jobs"
_VERBS = frozenset({"pause", "resume", "cancel"})
MENDINGS: Final = {
    "restart": ("restart", {}),
    "drain": ("restart", {"how": "drain"}),
    "unload": ("unload", {}),
    "load": ("load", {}),
    "release": ("release", {}),
}
_MENDING_WAIT_S = 60.0
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_VOICES_KEEP_S = 60.0


class ApiError(Exception):
    """The server refused, or could not be asked.

    Attributes:
        key: A phrase of the page's own; None when `message` is the server's.
    """

    def __init__(self, message: str = "", *, key: str | None = None, status: int | None = None) -> None:
        super().__init__(message or key)
        self.message = message
        self.key = key
        self.status = status

    def told(self, language: str) -> str:
        """What to show, not yet escaped."""
        return self.message if self.key is None else say(language, self.key, status=self.status)


class Api:
    """One server's API. For one event loop; every method raises ApiError.

    Args:
        url: Where the API listens, without a path.
        api_key: Sent as a bearer token. It never leaves this class.
    """

    def __init__(self, url: str, api_key: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        headers = {"User-Agent": STUDIO_AGENT}  # the audit log tells the page from other clients
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        # trust_env: a proxy of the environment has no business between two halves of one process.
        self.http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=_TIMEOUT, transport=transport, trust_env=False
        )
        self._voices: dict[str, tuple[float, list[VoiceView]]] = {}

    async def models(self) -> list[ModelView]:
        """The engines that are served; the first is the default."""
        return (await self._ask(ModelList, "GET", "/v1/models")).data

    async def voices(self, engine: str) -> list[VoiceView]:
        """The engine's voices, in its own order: the best come first. Remembered for a minute."""
        until_s, known = self._voices.get(engine, (0.0, []))
        if time.monotonic() < until_s:
            return known
        found = (await self._ask(VoiceList, "GET", "/v1/audio/voices", params={"engine": engine})).voices
        self._voices[engine] = (time.monotonic() + _VOICES_KEEP_S, found)
        return found

    async def check(self, body: dict[str, Any]) -> CheckView:
        return await self._ask(CheckView, "POST", "/v1/audio/check", json=body)

    async def submit(self, body: dict[str, Any], idempotency_key: str) -> JobView:
        return await self._ask(JobView, "POST", _JOBS, json=body, headers={"Idempotency-Key": idempotency_key})

    async def job(self, job_id: str) -> JobView:
        return await self._ask(JobView, "GET", _path_of(job_id))

    async def jobs(self, limit: int) -> list[JobView]:
        """The newest first."""
        return (await self._ask(JobList, "GET", _JOBS, params={"limit": limit})).data

    async def steer(self, job_id: str, verb: str) -> JobView:
        """Pause, resume or cancel."""
        if verb not in _VERBS:
            raise ValueError(verb)
        return await self._ask(JobView, "POST", f"{_path_of(job_id)}/{verb}")

    async def again(self, job_id: str, from_seconds: float) -> JobView:
        """Speak a job again from the turn at that time on."""
        return await self._ask(JobView, "POST", f"{_path_of(job_id)}/resume", json={"from_seconds": from_seconds})

    async def readiness(self) -> Readiness:
        """Whether every engine can speak; not ready is an answer, too."""
        return await self._ask(Readiness, "GET", "/readyz", answers=(200, 503))

    async def monitor(self) -> Snapshot:
        """Machine, workers and engines as the last look found them."""
        return await self._ask(Snapshot, "GET", "/v1/monitor")

    async def mend(self, verb: str, engine: str) -> MendedView:
        """Restart, drain (restart behind the jobs in hand), unload, load or release; waits a minute at most."""
        path, query = MENDINGS[verb]
        query = {**query, "engine": engine, "wait_s": str(_MENDING_WAIT_S)}
        timeout = httpx.Timeout(_MENDING_WAIT_S + 30.0, connect=5.0)
        return await self._ask(MendedView, "POST", f"/v1/admin/{path}", params=query, timeout=timeout)

    async def clean(self, *, with_cache: bool) -> CleanedView:
        return await self._ask(CleanedView, "POST", "/v1/admin/clean", params={"cache": with_cache})

    async def doctor(self) -> DoctorView:
        """What the doctor finds; it takes some seconds."""
        return await self._ask(DoctorView, "GET", "/v1/doctor", timeout=httpx.Timeout(120.0, connect=5.0))

    async def alerts(self) -> AlertList:
        return await self._ask(AlertList, "GET", "/v1/alerts")

    async def crashes(self) -> list[CrashView]:
        """The newest first."""
        return (await self._ask(CrashList, "GET", "/v1/crashes")).crashes

    async def _ask(self, kind: type[V], method: str, path: str, answers: tuple[int, ...] = (), **options: Any) -> V:
        try:
            response = await self.http.request(method, path, **options)
        except httpx.TransportError as error:
            raise ApiError(key="unreachable") from error
        try:
            if response.is_success or response.status_code in answers:
                return kind.model_validate_json(response.content)
            message = ErrorBody.model_validate_json(response.content).error.message
        except ValidationError as error:
            raise ApiError(key="strange_answer", status=response.status_code) from error
        raise ApiError(message, status=response.status_code)


def _path_of(job_id: str) -> str:
    """
    Raises:
        ApiError: It does not look like an id, so it may not become part of an address.
    """
    if not JOB_ID.fullmatch(job_id):
        raise ApiError(key="wrong_id")
    return f"{_JOBS}/{job_id}"
