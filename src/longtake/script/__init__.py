"""The script as the user wrote it, up to the passages that an engine speaks. Knows no engine, voice or job."""

from longtake.script.decode import decode_script
from longtake.script.estimate import Estimate, count_units, estimate_seconds, estimate_units, units_of
from longtake.script.finding import Finding, Severity
from longtake.script.language import language_of, language_runs
from longtake.script.limits import Limits, check_size
from longtake.script.lint import Report, check_script, raise_for
from longtake.script.parse import parse_plain, parse_script
from longtake.script.pauses import MAX_PAUSE_S
from longtake.script.records import Form, Pause, Script, Speaker, Turn
from longtake.script.resolve import resolve_voices
from longtake.script.split import Gaps, split_passages

__all__ = [
    "MAX_PAUSE_S",
    "Estimate",
    "Finding",
    "Form",
    "Gaps",
    "Limits",
    "Pause",
    "Report",
    "Script",
    "Severity",
    "Speaker",
    "Turn",
    "check_script",
    "check_size",
    "count_units",
    "decode_script",
    "estimate_seconds",
    "estimate_units",
    "language_of",
    "language_runs",
    "parse_plain",
    "parse_script",
    "raise_for",
    "resolve_voices",
    "split_passages",
    "units_of",
]
