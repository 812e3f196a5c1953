"""What GET /v1/doctor answers."""

from __future__ import annotations

from longtake.wire.fields import View


class Examined(View):
    """One thing that was looked at; `remedy` is empty when there is nothing to do."""

    name: str
    ok: bool
    found: str
    remedy: str


class DoctorView(View):
    """`at`: when it looked, in Unix seconds; what it found is told again for a minute."""

    ok: bool
    at: float
    checks: list[Examined]
