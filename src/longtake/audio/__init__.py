"""Passages become one finished file: join, level, encode, subtitles. Knows neither engines nor jobs."""

from longtake.audio.assembly import Assembly, AudioFile
from longtake.audio.encode import Encoder
from longtake.audio.formats import AudioFormat, Pcm, parse_format
from longtake.audio.join import Joiner
from longtake.audio.loudness import Leveller, Loudness, parse_loudness
from longtake.audio.pcmfile import StretchFile, has_sha256, read_samples, read_trace, sha256_of, write_stretch
from longtake.audio.probe import Measured, decode_mono, measure
from longtake.audio.recording import ReadRecording, read_recording
from longtake.audio.subtitles import Cue, SpokenPassage, build_cues, line_starts, to_srt, to_vtt
from longtake.core.disk import commit_file

__all__ = [
    "Assembly",
    "AudioFile",
    "AudioFormat",
    "Cue",
    "Encoder",
    "Joiner",
    "Leveller",
    "Loudness",
    "Measured",
    "Pcm",
    "ReadRecording",
    "SpokenPassage",
    "StretchFile",
    "build_cues",
    "commit_file",
    "decode_mono",
    "has_sha256",
    "line_starts",
    "measure",
    "parse_format",
    "parse_loudness",
    "read_recording",
    "read_samples",
    "read_trace",
    "sha256_of",
    "to_srt",
    "to_vtt",
    "write_stretch",
]
