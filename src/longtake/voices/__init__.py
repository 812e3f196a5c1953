"""Recordings that users have added, to be spoken with. Knows no engine, no job, and no sound file but its own WAV.

A worker reads it with NumPy alone.
"""

from longtake.voices.names import is_voice_id, to_voice_id
from longtake.voices.sound import MAX_RECORDING_S, MIN_RECORDING_S, check_recording
from longtake.voices.store import RecordedVoice, VoiceStore

__all__ = [
    "MAX_RECORDING_S",
    "MIN_RECORDING_S",
    "RecordedVoice",
    "VoiceStore",
    "check_recording",
    "is_voice_id",
    "to_voice_id",
]
