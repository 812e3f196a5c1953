"""The composition root of the parent process: the only place where store, intake, supervisor and server meet."""

from longtake.wiring.host import Host, open_host, open_intake, repair_data

__all__ = ["Host", "open_host", "open_intake", "repair_data"]
