"""What one host knows of time without a clock that somebody can set: since when it runs, and which start that was.

Leases in SQLite are measured with it, by `models.catalogue.base`. All processes of a host see the same; a jump of the
wall clock, or a host that was suspended, changes nothing.
"""

import subprocess
import time
from datetime import timedelta
from functools import cache
from pathlib import Path

#: Linux' own name for a start of the host.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def since_boot() -> timedelta:
    """For how long the host has run; it stands still while the host is suspended."""
    return timedelta(seconds=time.monotonic())


@cache
def boot_id() -> str:
    """A name for this start of the host, which no other start has."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        # macOS.
        command = ["sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
