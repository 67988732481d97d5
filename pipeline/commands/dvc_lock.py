"""DVC's list of the files in use, ``.dvc/tmp/rwlock``: whether a stage is running."""

from __future__ import annotations

import json
import os
from pathlib import Path

RWLOCK = Path(".dvc/tmp/rwlock")  # DVC rewrites it in place


def writer(folder: Path) -> int | None:
    """Return the id of a running DVC process that writes outputs of the project around `folder`, or None.

    The format is that of `dvc.rwlock` (DVC 3.67): ``{"write": {PATH: {"pid": 1, "cmd": "dvc repro"}}}``. A killed
    process leaves its entries behind.
    """
    inside = Path(os.path.normpath(folder.absolute()))
    for root in (inside, *inside.parents):
        try:
            infos = json.loads((root / RWLOCK).read_text(encoding="utf-8")).get("write", {}).values()
            return next((info["pid"] for info in infos if _is_running(info["pid"])), None)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or truncated, as doctor reports
            continue
    return None


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:  # another user's
        return True
    except OSError:
        return False
    return True
