"""From the bytes of a file to a script."""

from __future__ import annotations


class NotTextError(Exception):
    """The bytes are neither UTF-8 nor GB18030."""


def decode_script(data: bytes) -> str:
    """UTF-8 first, with or without a mark; then GB18030, which Chinese editors still write.

    Raises:
        NotTextError: It is neither, or it is no text at all: a NUL is in no script.
    """
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise NotTextError
