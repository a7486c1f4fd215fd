"""A clock of the host that nobody can set: the time since its start, and a name for this start.

`models.catalogue.base` measures leases in SQLite with it. All processes of a host see the same time. A change of the
system time or a suspended host has no effect.
"""

import subprocess
import time
from datetime import timedelta
from functools import cache
from pathlib import Path

#: Linux: the id of the current start of the host.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def since_boot() -> timedelta:
    """Return how long the host has run, in seconds, without suspended time."""
    return timedelta(seconds=time.monotonic())


@cache
def boot_id() -> str:
    """Return a name for this start of the host."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        # macOS.
        command = ["sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
