"""Finds the finished jobs that can be reused: those with the same tvb-library and the same user modules."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tvb_batch.models.catalogue.tables import Job
from tvb_batch.models.own_code.imports import check_unchanged
from tvb_batch.models.own_code.sources import (
    CHANGED,
    MISSING,
    OF_DATA,
    OF_METRICS,
    TVB,
    Here,
    differences,
    entries,
    modules_of,
    submitted,
    tvb_version,
)
from tvb_batch.models.spec.sweep import SweepSpec


class ReusableJobs:
    """The installed program: tvb-library and the user's modules."""

    def __init__(self, spec: SweepSpec) -> None:
        base = spec.base.canonical()
        self._here, self._base, swept = Here(), modules_of(base), modules_of(spec.plan)
        check_unchanged(self._base | swept)
        self._metrics = self._here.of_metrics()
        self._known: dict[frozenset[str], dict[str, str]] = {}
        #: The sources that workers must have.
        self.submitted = submitted(base, spec.plan, self._here)
        #: Number of jobs that finished with other sources, by the source that differs.
        self.other: Counter[str] = Counter()
        self._spec = spec if swept else None

    def find(self, jobs: Iterable[Job], parameters: Mapping[str, Any]) -> Job | None:
        """Return the first of equal finished jobs that ran with this program; count jobs with only other ones."""
        differing: list[str] = []
        for job in jobs:
            versions = job.versions or {}
            if versions.get(TVB) != tvb_version():
                # Jobs of another tvb-library release are not reported.
                differing = [TVB] if CHANGED in f"{versions.get(TVB)}{tvb_version()}" else []
                continue
            differing = [
                *differences(entries(versions, OF_DATA), self._of_data(parameters)),
                *differences(entries(versions, OF_METRICS), self._metrics),
            ]
            if not differing:
                return job
        self.other.update([", ".join(dict.fromkeys(differing))] if differing else [])
        return None

    def notes(self) -> Iterator[str]:
        """Return why some jobs run again, one line each."""
        for names, count in self.other.items():
            yield f"{count:,} of the jobs finished before with other sources and run again; changed: {names}"
            for name in (f"{OF_METRICS}{name}" for name in names.split(", ")):
                if self._metrics.get(name) == MISSING:
                    yield f"{name.removeprefix(OF_METRICS)} is not found here: name its folder in TVB_BATCH_MODULES_DIR"

    def _of_data(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        modules = self._base
        if self._spec is not None:
            # A class or a whole section is swept.
            modules = modules_of(self._spec.base.with_parameters(parameters).canonical())
        key = frozenset(modules)
        if key not in self._known:
            self._known[key] = self._here.of_data(modules)
        return self._known[key]
