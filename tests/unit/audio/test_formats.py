import pytest

from longtake.audio.formats import AudioFormat, parse_format
from longtake.core.errors import InputError


def test_the_six_names_are_openais() -> None:
    assert {f.value for f in AudioFormat} == {"wav", "mp3", "opus", "aac", "flac", "pcm"}


@pytest.mark.parametrize("audio_format", AudioFormat)
def test_a_format_is_found_by_its_name_and_knows_its_file(audio_format: AudioFormat) -> None:
    assert parse_format(audio_format.value.upper()) is audio_format
    assert audio_format.suffix == f".{audio_format.value}"
    assert audio_format.media_type.startswith("audio/")


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="wav, mp3, opus, aac, flac, pcm") as caught:
        parse_format("midi")
    assert (caught.value.code, caught.value.param) == ("unknown_format", "response_format")
