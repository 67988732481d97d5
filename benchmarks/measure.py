"""Run a command; write what it took as JSON: ``python benchmarks/measure.py RESULT COMMAND …``.

Counts every process that the command starts, also those whose parent ends before them: this process is their
subreaper (Linux, prctl(2)), so all are waited for here. Imports next to nothing, since what a process has in memory
when it starts another one counts as that one's peak.
"""

import ctypes
import json
import os
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main(result: str, *command: str) -> int:
    """Return the command's exit status."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    begun = time.monotonic()
    process = os.posix_spawnp(command[0], command, os.environ)
    wall, cpu, peak, status = 0.0, 0.0, 0, 1
    while True:
        try:
            ended, code, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        if ended == process:
            wall, status = time.monotonic() - begun, os.waitstatus_to_exitcode(code)
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
    with open(result, "w") as file:  # noqa: PTH123  see above
        json.dump({"wall": wall, "cpu": cpu, "peak_mb": peak * 1024 / 1e6}, file)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
