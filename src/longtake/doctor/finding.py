"""What a check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from longtake.core.errors import LongtakeError


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `remedy` is empty when it is well."""

    name: str
    is_ok: bool
    found: str
    remedy: str = ""


def tried(name: str, look: Callable[[], str], remedy: str) -> Check:
    """What a look found, or the error that it ended with."""
    try:
        return Check(name, True, look())
    except LongtakeError as error:
        return Check(name, False, error.message, remedy)
    except (ImportError, OSError) as error:
        return Check(name, False, str(error), remedy)
