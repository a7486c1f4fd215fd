"""Starts real Celery workers within a second: imports TVB once, then forks for each worker. A separate process.

It reads one JSON object per line from standard input. It answers an order with the pid, and `{"ended": pid}` with the
exit code of that process, or null while it runs. A worker can be told to pause at a named point, the first time that
one of its processes reaches it: it creates a file and continues when the file is removed. Python's audit events tell
where it is, so nothing of the program is replaced.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any


def main() -> None:
    from tvb_batch.worker import tasks  # noqa: F401 - what every worker needs, imported once
    from tvb_batch.worker.engines import compiled  # noqa: F401
    from tvb_batch.worker.tvb_import import import_tvb

    import_tvb()
    codes: dict[int, int] = {}
    signal.signal(signal.SIGCHLD, lambda *_: codes.update(ended()))
    answers = os.fdopen(os.dup(1), "w")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "ended" in order:
            answer = json.dumps(codes.get(order["ended"]))
        elif answer := os.fork():
            codes.pop(answer, None)
        else:
            become(order)
        print(answer, file=answers, flush=True)


def ended() -> Iterator[tuple[int, int]]:
    """Return the processes that ended since the last call, with their exit codes."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found[0], os.waitstatus_to_exitcode(found[1])


def become(order: dict[str, Any]) -> None:
    """Turn this process into a worker or a client."""
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, descriptor in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(descriptor, number)
        if order.get("directory"):
            os.environ.clear()
            os.chdir(order["directory"])
        os.environ.update(order["environment"])
        if order.get("largest_file"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
        if order.get("clock_ahead"):
            set_clock(timedelta(seconds=order["clock_ahead"]))
        if order.get("visibility_timeout"):
            from tvb_batch.worker.app import app

            # Kombu by default looks for messages to deliver again every hundred seconds.
            app.conf.broker_transport_options |= {
                "visibility_timeout": order["visibility_timeout"],
                "unacked_restore_interval": order["visibility_timeout"],
                "unacked_restore_throttle": 1,
            }
        sys.path[:0] = order.get("path", [])
        if order.get("hard_after"):
            set_hard_after(order["hard_after"])
        if order.get("first_dies"):
            kill_first_process(Path(order["first_dies"]))
        if order.get("stop_at"):
            sys.addaudithook(stand_still(POINTS[order["stop_at"]](), Path(order["reached"])))
        run(order["arguments"])
    finally:
        os._exit(1)


def run(arguments: list[str]) -> None:
    sys.argv = arguments
    if arguments[0] == "celery":
        from celery.__main__ import main as program
    else:
        from tvb_batch.submit.cli import main as program
    try:
        program()
    except SystemExit as exc:
        os._exit(exc.code if isinstance(exc.code, int) else 0)


def set_clock(ahead: timedelta) -> None:
    """Give a worker a wrong clock, which otherwise only root could set, for the whole machine."""
    from tvb_batch.models.catalogue import base, claims, control

    right = base.now
    for module in (base, control, claims):
        if hasattr(module, "now"):
            module.now = lambda: right() + ahead


def set_hard_after(seconds: float) -> None:
    """Set how long a job may continue after it must end; twenty seconds are long for a test."""
    from tvb_batch.worker import warden
    from tvb_batch.worker.job import heartbeat

    heartbeat.HARD_AFTER = warden.HARD_AFTER = seconds
    heartbeat.ASK_EVERY = warden.ASK_EVERY = 1.0


def kill_first_process(mark: Path) -> None:
    """Kill the first process of the pool during its start, so that the worker finds it dead."""
    from celery import signals

    @signals.worker_process_init.connect(weak=False)
    def _die(**_: Any) -> None:
        try:
            descriptor = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return
        os.write(descriptor, str(os.getpid()).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    @signals.worker_ready.connect(weak=False)
    def _wait(**_: Any) -> None:
        while not mark.exists() or not (pid := mark.read_text()) or is_running(int(pid)):
            time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def stand_still(is_there: Callable[[str, tuple[Any, ...]], bool], reached: Path) -> Callable[..., None]:
    done = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        if done or not is_there(event, arguments):
            return
        done = True
        reached.touch()
        while reached.exists():
            time.sleep(0.02)

    return hook


def is_rename(event: str, arguments: tuple[Any, ...]) -> bool:
    return event == "os.rename" and Path(arguments[1]).name.startswith("TimeSeries") and str(arguments[1])[-3:] == ".h5"


def before_rename() -> Callable[[str, tuple[Any, ...]], bool]:
    """Return a test for the point where the file is written, closed and checked, before its rename."""
    return is_rename


def after_rename() -> Callable[[str, tuple[Any, ...]], bool]:
    """Return a test for the point where the file has its final name, before the row names it."""
    directory = None

    def is_there(event: str, arguments: tuple[Any, ...]) -> bool:
        nonlocal directory
        if is_rename(event, arguments):
            directory = str(Path(arguments[1]).parent)
        return event == "open" and directory is not None and str(arguments[0]) == directory

    return is_there


def after_commit() -> Callable[[str, tuple[Any, ...]], bool]:
    """Return a test for the point where the row is FINISHED, before other files of the job are removed."""
    directory = None

    def is_there(event: str, arguments: tuple[Any, ...]) -> bool:
        nonlocal directory
        if is_rename(event, arguments):
            directory = str(Path(arguments[1]).parent)
        return event in ("os.listdir", "os.scandir") and directory is not None and str(arguments[0]) == directory

    return is_there


def before_send() -> Callable[[str, tuple[Any, ...]], bool]:
    """Return a test for the point where the rows are committed, before messages are sent to Redis."""

    def is_there(event: str, arguments: tuple[Any, ...]) -> bool:
        frame = sys._getframe() if event == "socket.connect" else None
        while frame is not None:
            if frame.f_code.co_name == "enqueue":
                return True
            frame = frame.f_back
        return False

    return is_there


POINTS: dict[str, Callable[[], Callable[[str, tuple[Any, ...]], bool]]] = {
    "before_rename": before_rename,
    "after_rename": after_rename,
    "after_commit": after_commit,
    "before_send": before_send,
}

if __name__ == "__main__":
    main()
