"""DVC's list of the files in use, which a full disk can leave truncated.

DVC rewrites ``.dvc/tmp/rwlock`` in place (`dvc.rwlock._edit_rwlock`, DVC 3.67). If the disk is full at that moment, the
file is cut off, and every later `dvc repro` ends with "JSON structure is corrupted". The list names running processes
only, so it can be removed where there are none. ``make repro`` runs this module first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

RWLOCK = Path(".dvc/tmp/rwlock")


def is_truncated(path: Path = RWLOCK) -> bool:
    """Return whether DVC would end with "JSON structure is corrupted"."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:  # not JSON, or not UTF-8
        return True
    return False


def remove_if_truncated(path: Path = RWLOCK) -> str:
    """Remove the list if it is truncated and no DVC process holds it; return what was done, or nothing."""
    if not is_truncated(path):
        return ""
    from dvc.lock import LockError, make_lock  # noqa: PLC0415  slow to import, and rarely needed

    try:
        with make_lock(f"{path}.lock", tmp_dir=str(path.parent)):  # the one that DVC itself takes to edit the list
            if is_truncated(path):
                path.unlink()
    except LockError:
        return f"{path} is truncated, and a running DVC process holds it. When it has ended, run this again."
    return f"removed {path}, which a full disk had left truncated"


if __name__ == "__main__":
    if said := remove_if_truncated():
        print(said, file=sys.stderr)
