"""A health report of the last hours or days: figures, pictures, advice. Reads jobs and monitor, changes nothing."""

from longtake.report.formats import FORMATS, in_short, render
from longtake.report.gather import Sources, gather
from longtake.report.records import Report, Setup, Severity
from longtake.report.since import parse_since
from longtake.report.words import LANGUAGES

__all__ = [
    "FORMATS",
    "LANGUAGES",
    "Report",
    "Setup",
    "Severity",
    "Sources",
    "gather",
    "in_short",
    "parse_since",
    "render",
]
