"""A host in a process of its own, to be killed: ``python -m tests.integration.host_process DATA``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from longtake.config import load_settings
from longtake.wiring import open_host

if __name__ == "__main__":
    with open_host(load_settings(data=Path(sys.argv[1]), disk_floor_mib=16), workers=True):
        time.sleep(120)
