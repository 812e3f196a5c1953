"""What it means that a passage has ended: spoken, cut, or not spoken at all. Knows no model."""

from __future__ import annotations

from longtake.core.errors import EngineError
from longtake.core.units import format_duration
from longtake.engines.base import End, Ended, SpeakRequest
from longtake.engines.vibevoice.planning.budget import FRAMES_PER_S, expected_frames

OTHER_SEED = "`longtake resume JOB --from TIME` goes back to before that and speaks on with another seed"
# A voice may be twice as fast as thought, and an estimate wrong by half: a tenth of what is expected is neither. Of a
# few words nothing is said: "No." may last a third of a second. Ten words are 3.5 s at 170 a minute.
_IMPLAUSIBLE_SHARE = 0.1
_JUDGED_FROM_S = 3.5


def end_of_speech(request: SpeakRequest, frames: int) -> Ended:
    """The model says that it is done, after so many frames of the passage.

    Raises:
        EngineError: ``nothing_spoken``: there is text, and no sound.
    """
    place = f"passage {request.passage.index + 1}"
    expected = f"about {format_duration(request.expected_s)} were expected"
    if not frames and any(letter.isalnum() for line in request.passage.lines for letter in line.text):
        raise EngineError(
            f"Nothing was spoken: the model ended {place} before its first sound ({expected}). {OTHER_SEED}; a new job "
            "with another --seed may help, too.",
            code="nothing_spoken",
        )
    message = ""
    if request.expected_s >= _JUDGED_FROM_S and frames < _IMPLAUSIBLE_SHARE * expected_frames(request.expected_s):
        message = (
            f"Most of {place} is probably missing: it lasts {frames / FRAMES_PER_S:.1f} s, and {expected}. Listen to "
            f"it; {OTHER_SEED}."
        )
    return Ended(request.id, End.FINISHED, message=message)


def end_at_limit(request: SpeakRequest, frames: int, limit: int, *, is_allowed: bool) -> Ended:
    """The limit of steps is reached, and the model has not said that it is done."""
    what = (
        f"The speech did not come to its end: after {format_duration(frames / FRAMES_PER_S)} (about "
        f"{format_duration(request.expected_s)} were expected) its limit of {limit:,} steps was reached in passage "
        f"{request.passage.index + 1}."
    )
    if is_allowed:
        return Ended(request.id, End.FINISHED, message=what)
    advice = (
        f"What was spoken is kept. {OTHER_SEED}; shorter turns may help, and the setting allow_truncated takes what "
        "there is."
    )
    return Ended(request.id, End.TRUNCATED, message=f"{what} {advice}")
