"""First on PYTHONPATH, this is `pynvml`: the driver that the JSON file named by SCRIPTED_NVML describes."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_REAL = next(path for place in sys.path if (path := Path(place) / "pynvml.py").exists() and path.parent != _HERE)
_spec = importlib.util.spec_from_file_location("real_pynvml", _REAL)
assert _spec is not None
assert _spec.loader is not None
_real = importlib.util.module_from_spec(_spec)
sys.modules["real_pynvml"] = _real
_spec.loader.exec_module(_real)

sys.path.append(str(_HERE.parents[3]))
from tests.support.nvml.script import ScriptedNvml  # noqa: E402

_script = Path(os.environ["SCRIPTED_NVML"])
_scripted = ScriptedNvml(_real, _script, _script.with_suffix(".limits"))


def __getattr__(name: str) -> Any:
    return getattr(_scripted, name)
