"""Models and voices: OpenAI's shapes, and those that Open WebUI and others have settled on."""

from __future__ import annotations

from fastapi import APIRouter

from longtake.core.errors import NotFoundError
from longtake.engines.base import EngineAbout
from longtake.server.backend import Context
from longtake.server.views import to_voice_view
from longtake.supervise import WorkerState
from longtake.wire.listings import ModelList, ModelView, SpeechModelList, VoiceList, VoiceView
from longtake.wire.speech import OPENAI_MODELS


def routes(context: Context) -> APIRouter:
    router = APIRouter(tags=["models and voices"])
    intake = context.backend.intake
    created = round(context.backend.clock.wall_s())

    def view(engine: EngineAbout) -> ModelView:
        status = context.backend.worker(engine.info.name)
        state = WorkerState.STOPPED if status is None else status.state
        return ModelView(id=engine.info.name, created=created, name=engine.info.title, state=state)

    @router.get("/v1/models")
    async def list_models() -> ModelList:
        """The engines that are served. OpenAI's own model names are understood, but not listed."""
        return ModelList(data=[view(engine) for engine in intake.engines])

    @router.get("/v1/models/{model_id:path}")
    async def show_model(model_id: str) -> ModelView:
        if model_id in OPENAI_MODELS:
            return view(intake.engine(None)).model_copy(update={"id": model_id})
        return view(intake.engine(model_id))

    @router.get("/v1/audio/models")
    async def list_speech_models() -> SpeechModelList:
        """The same, for Open WebUI."""
        models = [view(engine) for engine in intake.engines]
        return SpeechModelList(data=models, models=models)

    @router.get("/v1/audio/voices")
    async def list_voices(engine: str | None = None, language: str | None = None) -> VoiceList:
        """The voices to offer; engines may know more by their ids. `language` is a BCP-47 tag: zh finds zh-HK, too."""
        return await context.in_store(_voices, context, engine, language)

    @router.get("/v1/audio/voices/{voice_id}")
    async def show_voice(voice_id: str, engine: str | None = None) -> VoiceView:
        return await context.in_store(_voice, context, voice_id, engine)

    return router


# In a thread: an engine reads its voice files at the first call.
def _voices(context: Context, engine: str | None, language: str | None) -> VoiceList:
    intake = context.backend.intake
    engines = intake.engines if engine is None else (intake.engine(engine),)
    voices = [voice for each in engines for voice in intake.voices(each)]
    wanted = (language or "").lower()
    return VoiceList(
        voices=[
            to_voice_view(voice)
            for voice in voices
            if not wanted or voice.language.lower() == wanted or voice.language.lower().startswith(f"{wanted}-")
        ]
    )


def _voice(context: Context, voice_id: str, engine: str | None) -> VoiceView:
    intake = context.backend.intake
    for each in intake.engines if engine is None else (intake.engine(engine),):
        found = intake.find_voice(each, voice_id)
        if found is not None:
            return to_voice_view(found)
    raise NotFoundError(
        f"There is no voice {voice_id!r}. GET /v1/audio/voices lists them.", code="unknown_voice", param="voice"
    )
