"""Remarks about finished results: which contain NaN, which metrics are missing, and why."""

from collections.abc import Iterable, Mapping, Sequence

from tvb_batch.models.catalogue import Catalogue, Lacking
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Output, Sweep
from tvb_batch.models.errors import NOT_FINITE
from tvb_batch.submit.present.formatting import results_word, short


def remarks(catalogue: Catalogue, sweep: Sweep) -> list[str]:
    """Return one line for each fact: `3 of 40 results hold NaN ...`, `12 results lack KuramotoIndex: it needs ...`."""
    found = []
    if diverged := catalogue.count(sweep=sweep.gid, where="is_nan"):
        results = results_word(catalogue.count(sweep=sweep.gid, status=Status.FINISHED))
        look = f"tvb-batch list {short(sweep.gid)} --where is_nan"
        found.append(f"{diverged:,} of {results} hold{'s' if diverged == 1 else ''} NaN or infinity: {look}")
    return found + lacking_lines(lacking for lacking in catalogue.lacking(sweep.gid) if lacking.reason != NOT_FINITE)


def lacking_lines(found: Iterable[Lacking]) -> list[str]:
    """Return one line for all metrics that the same number of results lack for the same reason."""
    names: dict[tuple[int, str, int], list[str]] = {}
    for one in found:
        names.setdefault((one.jobs, one.reason, one.others), []).append(one.name)
    return [
        f"{results_word(jobs)} {'lacks' if jobs == 1 else 'lack'} {', '.join(alike)}: {reason}"
        + (f" (and {others} other reason{'s' if others > 1 else ''})" if others else "")
        for (jobs, reason, others), alike in names.items()
    ]


def count_lacking(missing: Iterable[Mapping[str, str]], names: Sequence[str]) -> list[Lacking]:
    """Return which metrics some results lack, from the values of `Catalogue.missing_metrics`."""
    found = []
    each = list(missing)
    for name in names:
        reasons = [one[name] for one in each if name in one]
        if reasons:
            often = max(dict.fromkeys(reasons), key=reasons.count)
            found.append(Lacking(name, len(reasons), often, len(set(reasons)) - 1))
    return found


def left_out(outputs: Sequence[Output]) -> str:
    """Return what metrics leave out of each monitor's series: `500 ms, 20000 ms`; empty if unknown."""
    known = [f"{output.transient:g} ms" for output in outputs if output.transient is not None]
    return known[0] if len(set(known)) == 1 else ", ".join(known)
