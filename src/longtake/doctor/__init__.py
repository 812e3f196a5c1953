"""Looks whether this machine can speak, and says what to do where it cannot. Knows no terminal."""

from longtake.doctor.examination import examine, examine_served
from longtake.doctor.finding import Check

__all__ = ["Check", "examine", "examine_served"]
