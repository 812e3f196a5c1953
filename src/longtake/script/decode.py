"""Bytes to text, whatever the editor saved. Knows nothing of scripts."""

from __future__ import annotations

import codecs
import re

from longtake.core.errors import InputError
from longtake.script.characters import normalize_breaks

_REMEDY = "Save it as UTF-8 text and try again."
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\r\x0c")) + b"\x7f"
_MAX_CONTROL_SHARE = 0.02

# The hundred or so commonest characters, simplified and traditional: about 40 % of any Chinese text, and about 4 % of
# what other encodings look like when they are read as GB18030.
_COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "這個們來為國說時會對後發過裡種經麼學現當沒動還進樣開從實吗吧呢啊很什"
)
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
_PLAIN_CJK = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u2010-\u203b·×÷°§￥]")
_NEVER_IN_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff]")
_ENOUGH_HAN = 50


def decode_script(data: bytes) -> str:
    """Read UTF-8 (with or without mark), UTF-16 with mark, or GB18030 that looks like Chinese; line breaks become LF.

    Raises:
        InputError: ``unreadable_script``: the data is binary, or in none of these encodings.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decode_utf16(data)
    _refuse_binary(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        chinese = _decode_chinese(data)
        if chinese is None:
            raise InputError(
                f"The script is not UTF-8: byte {error.start} (0x{data[error.start]:02X}) does not belong there. "
                f"Tried UTF-8, UTF-16 (it has no byte order mark) and GB18030 (it does not read as Chinese). {_REMEDY}",
                code="unreadable_script",
                param="script",
            ) from error
        text = chinese
    return normalize_breaks(text)


def _decode_utf16(data: bytes) -> str:
    try:
        text = data.decode("utf-16")
    except UnicodeDecodeError as error:
        raise InputError(
            f"The script starts like UTF-16 but byte {error.start} does not fit ({error.reason}). {_REMEDY}",
            code="unreadable_script",
            param="script",
        ) from error
    if "\0" in text:
        raise _binary(f"the character at byte {2 + 2 * text.index(chr(0))} is NUL")
    return normalize_breaks(text)


def _refuse_binary(data: bytes) -> None:
    nul = data.find(0)
    if nul >= 0:
        raise _binary(f"byte {nul} is NUL; UTF-16 needs a byte order mark")
    controls = len(data) - len(data.translate(None, _CONTROLS))
    # A few stray control characters are a matter for the parser, which names them one by one.
    if controls > 4 and controls > len(data) * _MAX_CONTROL_SHARE:
        first = next(offset for offset, byte in enumerate(data) if byte in _CONTROLS)
        raise _binary(f"{controls:,} of {len(data):,} bytes are control characters, the first at byte {first}")


def _binary(why: str) -> InputError:
    return InputError(
        f"The script is not text but binary data: {why}. {_REMEDY}", code="unreadable_script", param="script"
    )


def _decode_chinese(data: bytes) -> str | None:
    """GB18030 gives a meaning to nearly any bytes, so what comes out must also look like Chinese."""
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    if _NEVER_IN_TEXT.search(text):
        return None
    foreign = [char for char in text if not char.isascii()]
    # Western accents read as GB18030 give rare characters whose second byte is ASCII: outside GB2312.
    plain = sum(1 for char in foreign if _PLAIN_CJK.match(char) and _is_gb2312(char))
    if plain * 2 < len(foreign):
        return None
    han = _HAN.findall(text)
    if not han or len(han) * 2 < len(foreign):  # kana, Cyrillic, Greek: another encoding
        return None
    common = sum(1 for char in han if char in _COMMON)
    return text if len(han) < _ENOUGH_HAN or common * 10 >= len(han) else None


def _is_gb2312(char: str) -> bool:
    pair = char.encode("gb18030")
    return len(pair) == 2 and pair[0] >= 0xA1 and pair[1] >= 0xA1
