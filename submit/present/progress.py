"""A progress bar that counts jobs, only in a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def jobs_bar() -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes the number of finished jobs and of all jobs."""
    console = Console(stderr=True)
    columns = (TextColumn("jobs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("jobs", total=None)
        yield lambda done, jobs: progress.update(bar, completed=done, total=jobs)
