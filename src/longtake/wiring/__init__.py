"""The composition root of the parent process: the only place where store, intake, supervisor and server meet."""

from longtake.wiring.host import Host, open_host, open_intake, repair_data
from longtake.wiring.logs import logging_as

__all__ = ["Host", "logging_as", "open_host", "open_intake", "repair_data"]
