"""What happened, in words: every process writes JSON lines of its own, and whoever asks reads them all as one log.

`logs.setup` is not named here: it needs structlog, which nobody who only reads should have to import.
"""

from longtake.logs.position import Position, parse_position, to_text
from longtake.logs.reading import Batch, Filter, Found, Level, Page, read_back, read_on, tail_of
from longtake.logs.sources import Source, job_sources, process_sources

__all__ = [
    "Batch",
    "Filter",
    "Found",
    "Level",
    "Page",
    "Position",
    "Source",
    "job_sources",
    "parse_position",
    "process_sources",
    "read_back",
    "read_on",
    "tail_of",
    "to_text",
]
