"""``python -m longtake.worker.torch_report``: what torch is and sees, in JSON, for a parent without torch."""

from __future__ import annotations

import json

import torch


def main() -> None:
    devices: list[str] = []
    reason = None
    try:
        devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        if devices:
            torch.ones(2, device="cuda").sum().item()  # a driver that is too old is found out by its use
    except Exception as error:  # a border: whatever torch raises is the answer
        devices, reason = [], f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices, "reason": reason}))


if __name__ == "__main__":
    main()
