"""From a job's rows and files to what its user receives: the audio's place, subtitles. Knows no HTTP, no terminal."""

from longtake.delivery.delivery import audio_path, subtitles_of, timeline

__all__ = ["audio_path", "subtitles_of", "timeline"]
