"""Passages become one finished file: join, level, encode, subtitles. Knows neither engines nor jobs."""

from longtake.audio.assembly import Assembly, AudioFile
from longtake.audio.disk import commit_file
from longtake.audio.encode import Encoder
from longtake.audio.formats import AudioFormat, Pcm, parse_format
from longtake.audio.join import Joiner
from longtake.audio.loudness import Leveller, Loudness, parse_loudness
from longtake.audio.pcmfile import PassageFile, has_sha256, read_passage, sha256_of, write_passage
from longtake.audio.probe import Measured, decode_mono, measure
from longtake.audio.subtitles import Cue, SpokenPassage, build_cues, to_srt, to_vtt

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
    "PassageFile",
    "Pcm",
    "SpokenPassage",
    "build_cues",
    "commit_file",
    "decode_mono",
    "has_sha256",
    "measure",
    "parse_format",
    "parse_loudness",
    "read_passage",
    "sha256_of",
    "to_srt",
    "to_vtt",
    "write_passage",
]
