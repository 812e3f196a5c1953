"""From a job's rows and files to what its user receives: the audio's place, subtitles, another take.

Knows no HTTP, no terminal.
"""

from longtake.delivery.again import Again, speak_again
from longtake.delivery.bare import is_bare, require_passages
from longtake.delivery.delivery import audio_path, subtitles_of, timeline

__all__ = ["Again", "audio_path", "is_bare", "require_passages", "speak_again", "subtitles_of", "timeline"]
