"""Checks an installation from this machine, for `tvb-batch doctor`.

Each check returns findings and never raises for an error of the installation. Files that a check writes are removed.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.errors import BrokerError, CatalogueError, OutputError, one_line
from tvb_batch.models.masking import without_password
from tvb_batch.models.own_code.sources import OF_DATA
from tvb_batch.models.paths import check_writable
from tvb_batch.models.queue import announced, broker_facts, check_broker, make_app, waiting
from tvb_batch.models.settings import Settings

#: A larger clock difference makes logs and durations hard to read. Seconds.
CLOCK = 2.0
#: Less free space is a problem. Bytes.
FREE = 2**30
#: A local disk syncs a small file in milliseconds. Seconds.
SLOW_SYNC = 1.0


#: If Redis uses more than this part of its memory, it will soon refuse messages.
NEARLY_FULL = 0.9

_WELL_AGAIN = (
    "its disk or memory may be full, it may have become a replica, or its user's rights may have changed; workers wait "
    "until it recovers"
)


@dataclass(frozen=True)
class Finding:
    """One checked fact."""

    check: str
    is_fine: bool
    #: What was found.
    found: str
    #: What to do; empty if everything is right.
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Run all checks, in the order in which problems should be solved."""
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        storage_findings,
        database_findings,
        broker_findings,
        worker_findings,
    ]
    # Texts from outside, such as Redis', must not control the terminal.
    return [replace(finding, found=one_line(finding.found)) for check in checks for finding in check(settings)]


# --------------------------------------------------------------------------------------------------------- storage


def storage_findings(settings: Settings) -> Iterator[Finding]:
    """Check rename, sync, locks and free space in the data directory."""
    root = settings.storage.root
    try:
        check_writable(settings.storage)
    except OutputError as exc:
        yield Finding("storage", False, str(exc), "mount it, or give the user of the workers the right to write there")
        return
    yield Finding("storage", True, f"{root} can be written")
    with tempfile.TemporaryDirectory(dir=root, prefix=".doctor-") as directory:
        yield _tried("rename", "rename replaces a file at once", _rename, Path(directory), "use a POSIX file system")
        yield _tried(
            "fsync", "files and directories are synced", _sync, Path(directory), "use a file system with fsync"
        )
        yield _tried(
            "locks", "files can be locked", _lock, Path(directory),
            "mount NFS with locking (version 4, or lockd), or set HDF5_USE_FILE_LOCKING=FALSE for the workers",
        )  # fmt: skip
    free = shutil.disk_usage(root).free
    advice = "" if free >= FREE else "remove files that you do not need, or set TVB_BATCH_DATA_DIR to a larger disk"
    yield Finding("space", free >= FREE, f"{free / 2**30:.1f} GiB free at {root}", advice)


def _tried(check: str, fine: str, work: Callable[[Path], str | None], directory: Path, advice: str) -> Finding:
    try:
        fault = work(directory)
    except OSError as exc:
        fault = f"{exc.strerror or exc} at {directory.parent}"
    return Finding(check, fault is None, fault or fine, advice if fault else "")


def _rename(directory: Path) -> str | None:
    part, final = directory / "a.part", directory / "a"
    final.write_text("old")
    part.write_text("new")
    inode = part.stat().st_ino
    part.replace(final)
    whole = final.read_text() == "new" and final.stat().st_ino == inode and not part.exists()
    return None if whole else "a renamed file is a copy, not the file itself"


def _sync(directory: Path) -> str | None:
    path = directory / "synced"
    path.write_bytes(b"\0" * 4096)
    start = time.monotonic()
    for each in (path, directory):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    seconds = time.monotonic() - start
    return f"a sync of 4 KiB took {seconds:.1f} s" if seconds > SLOW_SYNC else None


def _lock(directory: Path) -> str | None:
    path = directory / "locked"
    with path.open("w") as first, path.open("w") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return "a locked file can be locked again"
    return None


# --------------------------------------------------------------------------------------- database, broker, workers


def database_findings(settings: Settings) -> Iterator[Finding]:
    """Check that the database answers and has the right revision; read its clock."""
    try:
        catalogue = Catalogue.open(settings.database)
    except CatalogueError as exc:
        advice = "`tvb-batch db upgrade` makes the tables" if "revision" in str(exc) else "start it, or correct its URL"
        yield Finding("database", False, str(exc), advice)
        return
    try:
        start = time.time()
        there = catalogue.clock().timestamp()
        end = time.time()
        yield Finding("database", True, f"answers in {(end - start) * 1000:.0f} ms, and has the right revision")
        yield _clock("clock of the database", there - (start + end) / 2)
    finally:
        catalogue.dispose()


def broker_findings(settings: Settings) -> Iterator[Finding]:
    """Check that Redis answers and keeps messages; read its clock."""
    try:
        check_broker(settings)
        app = make_app(settings)
        queued = waiting(app)
        facts = broker_facts(app)
    except BrokerError as exc:
        advice = "start Redis, or correct TVB_BATCH_BROKER_URL; `tvb-batch run` needs none, it starts its own"
        yield Finding("broker", False, str(exc), _WELL_AGAIN if "Redis refuses" in str(exc) else advice)
        return
    yield Finding("broker", True, f"{without_password(settings.broker)} answers, {queued} messages wait")
    yield _clock("clock of the broker", facts.clock_ahead)
    if facts.policy is not None:
        fine = facts.policy == "noeviction"
        advice = "" if fine else "set `maxmemory-policy noeviction`: Redis may forget messages otherwise"
        yield Finding("broker's memory", fine, f"maxmemory-policy {facts.policy}", advice)
    if facts.refusal is not None:
        yield Finding("messages", False, f"Redis refuses ({facts.refusal})", _WELL_AGAIN)
    if facts.memory > NEARLY_FULL:
        found = f"{facts.memory:.0%} of its maxmemory are in use"
        yield Finding("memory of the broker", False, found, "raise `maxmemory`, or remove other data from this Redis")


def _clock(check: str, ahead: float) -> Finding:
    fine = abs(ahead) <= CLOCK
    return Finding(
        check, fine, f"{ahead:+.1f} s from here", "" if fine else "synchronise the clocks of all hosts (NTP)"
    )


def worker_findings(settings: Settings) -> Iterator[Finding]:
    """Check that workers live and have the same libraries."""
    try:
        found = announced(make_app(settings))
    except BrokerError:
        return  # Already reported.
    if not found:
        advice = "start some with `tvb-batch worker`; a new worker needs a moment to report"
        yield Finding("workers", False, "no worker has reported within a minute", advice)
        return
    yield Finding("workers", True, f"{len(found)} live: {', '.join(sorted(found))}")
    names = sorted({name for facts in found.values() for name in facts["versions"]})
    for name in names:
        seen: dict[str, list[str]] = {}
        for worker, facts in found.items():
            seen.setdefault(facts["versions"].get(name, "none"), []).append(worker)
        if len(seen) > 1:
            words = "; ".join(f"{number} on {', '.join(sorted(where))}" for number, where in sorted(seen.items()))
            advice = "install the same constraints.txt on all hosts"
            if name.startswith(OF_DATA):
                advice = "put the same modules on all hosts, and name them in TVB_BATCH_MODULES of every worker"
            yield Finding("versions", False, f"{name}: {words}", advice)
    yield from _own_version(found)


def _own_version(found: dict[str, dict[str, dict[str, str]]]) -> Iterator[Finding]:
    try:
        own = version("tvb-batch")
    except PackageNotFoundError:
        return
    others = sorted({facts["versions"].get("tvb-batch", "none") for facts in found.values()} - {own})
    advice = "install the same version on all machines, clients first" if others else ""
    yield Finding("tvb-batch", not others, f"{own} here, workers have {', '.join(others) or 'the same'}", advice)
