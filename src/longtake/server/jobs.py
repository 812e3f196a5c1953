"""/v1/audio/jobs: submit, list, look, steer, delete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from longtake.core.errors import InputError, NotFoundError
from longtake.delivery import speak_again
from longtake.jobs.records import Job, Kind
from longtake.jobs.removal import remove_job
from longtake.jobs.store import JobStore
from longtake.server.backend import Context
from longtake.server.check import to_request
from longtake.server.incoming import JobId, documented, idempotency_key, json_body
from longtake.server.views import to_job_view, to_resumed_view
from longtake.wire.jobs import JobBody, JobDeleted, JobList, JobView, ResumeBody, ResumedView

PREFIX = "/v1/audio/jobs"


def routes(context: Context) -> APIRouter:
    router = APIRouter(prefix=PREFIX, tags=["jobs"])
    backend = context.backend
    store = backend.store

    @router.post("", status_code=202, openapi_extra=documented(JobBody), responses={200: {"model": JobView}})
    async def submit(
        response: Response,
        body: Annotated[JobBody, Depends(json_body(JobBody))],
        key: Annotated[str | None, Depends(idempotency_key)],
    ) -> JobView:
        """Queue a script. 202 and its Location; 200 when the Idempotency-Key has already brought this very job."""
        view, engine, is_new = await context.in_store(_submit, context, body, key)
        backend.wake(engine)
        response.headers["Location"] = f"{PREFIX}/{view.id}"
        if not is_new:
            response.status_code = 200
            response.headers["Idempotent-Replayed"] = "true"
        return view

    @router.get("")
    async def list_jobs(
        limit: Annotated[int, Query(ge=1, le=100)] = 20, after: Annotated[str | None, Query(max_length=64)] = None
    ) -> JobList:
        """The newest first; `after` is the id of the last job of the page before."""
        return await context.in_store(_list, store, limit, after)

    @router.get("/{job_id}")
    async def show(job_id: JobId) -> JobView:
        return await context.in_store(lambda: to_job_view(find_job(store, job_id), store))

    @router.delete("/{job_id}")
    async def delete(job_id: JobId) -> JobDeleted:
        """Delete a job that has ended, with its audio."""
        await context.in_store(_delete, context, job_id)
        return JobDeleted(id=job_id)

    async def steer(job_id: str, verb: Callable[[str], Job]) -> JobView:
        def ask() -> tuple[JobView, str]:
            find_job(store, job_id)
            job = verb(job_id)
            return to_job_view(job, store), job.spec.engine

        view, engine = await context.in_store(ask)
        backend.wake(engine)
        return view

    @router.post("/{job_id}/cancel")
    async def cancel(job_id: JobId) -> JobView:
        """End it where it is; what was spoken is kept. Cancelling twice is cancelling once."""
        return await steer(job_id, store.cancel)

    @router.post("/{job_id}/pause")
    async def pause(job_id: JobId) -> JobView:
        """Stop at once and rest; the passage that was being spoken is spoken again later."""
        return await steer(job_id, store.pause)

    @router.post("/{job_id}/resume", openapi_extra=documented(ResumeBody, is_required=False))
    async def resume(
        job_id: JobId, body: Annotated[ResumeBody, Depends(json_body(ResumeBody, is_required=False))]
    ) -> ResumedView:
        """Go on with a paused job, or with a failed one at the first passage that is missing.

        With `from_seconds`, whatever its state: cut it back to the turn at that time and speak on from there.
        """
        view = await context.in_store(_resume, context, job_id, body)
        backend.wake(view.engine)
        return view

    return router


def find_job(store: JobStore, job_id: str) -> Job:
    """A job that a user made. Speech and probe jobs belong to the requests that made them.

    Raises:
        NotFoundError: There is none.
    """
    job = store.job(job_id)
    if job.kind is not Kind.JOB:
        raise NotFoundError(f"There is no job {job_id!r}. GET {PREFIX} lists them.", code="job_not_found")
    return job


def _submit(context: Context, body: JobBody, key: str | None) -> tuple[JobView, str, bool]:
    request = replace(
        to_request(body),
        response_format=body.response_format,
        loudness=body.loudness,
        seed=body.seed,
        title=body.title,
    )
    job, is_new = context.backend.intake.submit(request, idempotency_key=key)
    return to_job_view(job, context.backend.store), job.spec.engine, is_new


def _resume(context: Context, job_id: str, body: ResumeBody) -> ResumedView:
    backend = context.backend
    find_job(backend.store, job_id)
    if body.from_seconds is None:
        if body.seed is not None:
            raise InputError(
                "The seed is for what is spoken again: give from_seconds with it.", code="seed_alone", param="seed"
            )
        return to_resumed_view(backend.store.resume(job_id), backend.store, None)
    again = speak_again(backend.store, backend.folder, job_id, body.from_seconds, seed=body.seed)
    return to_resumed_view(again.job, backend.store, again)


def _list(store: JobStore, limit: int, after: str | None) -> JobList:
    before = None if after is None else find_job(store, after).number
    found = store.jobs(before=before, limit=limit + 1)
    return JobList(data=[to_job_view(job, store) for job in found[:limit]], has_more=len(found) > limit)


def _delete(context: Context, job_id: str) -> None:
    find_job(context.backend.store, job_id)
    remove_job(context.backend.store, context.backend.folder, job_id)
