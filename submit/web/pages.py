"""The pages: each reads the catalogue and renders a template. They change nothing."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.submission import as_columns
from tvb_batch.models.catalogue.tables import Job, Output, Sweep
from tvb_batch.models.errors import NotFoundError, SpecError, TvbBatchError
from tvb_batch.models.own_code.imports import changed, forget
from tvb_batch.models.settings import Settings
from tvb_batch.models.spec.parameter_names import parameters
from tvb_batch.models.spec.simulation import simulation
from tvb_batch.submit.api.results import TimeSeries, node_labels
from tvb_batch.submit.present.describe import describe_plan
from tvb_batch.submit.present.formatting import number, short, short_metrics
from tvb_batch.submit.present.remarks import count_lacking, lacking_lines, left_out, remarks
from tvb_batch.submit.present.serialize import job_as_dict
from tvb_batch.submit.web.charts import Mark, series_svg, sweep_svg
from tvb_batch.submit.web.decimation import envelope

#: The colour of a map besides metrics. Seconds.
DURATION = "duration"
#: Maximum number of jobs in a map; of more, a sample.
MOST_MARKS = 1500
#: Jobs on a page of the table.
PAGE = 50
#: Number of nodes of a series shown first, and at most.
NODES, MOST_NODES = 4, 16

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


def render_page(request: Request, template: str, values: Mapping[str, object], code: int = 200) -> HTMLResponse:
    """Render a template as a page."""
    known = {"csrf": request.app.state.guard.csrf(), "path": request.scope["path"], "Status": Status}
    return HTMLResponse(_TEMPLATES.get_template(template).render(**known, **values), code)


def catalogue_of(request: Request) -> Catalogue:
    """Return the catalogue of the server."""
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


def settings_of(request: Request) -> Settings:
    """Return the settings of the server."""
    settings: Settings = request.app.state.settings
    return settings


# ---------------------------------------------------------------------------------------------------------- sweeps


def sweeps_page(request: Request) -> Response:
    """Show all sweeps, newest first."""
    return render_page(request, "sweeps.html", {"summaries": catalogue_of(request).sweeps()})


def sweeps_table(request: Request) -> Response:
    """Show only the table of sweeps, for updates."""
    return render_page(request, "_sweeps.html", {"summaries": catalogue_of(request).sweeps()})


def sweep_page(request: Request) -> Response:
    """Show one sweep: progress, swept parameters, chart."""
    catalogue, found = catalogue_of(request), _sweep(request)
    first = catalogue.jobs(sweep=found.gid, limit=1)
    names = list(first[0].parameters) if first else []
    numeric = [name for name in names if _number(first[0].parameters[name]) is not None]
    metrics = catalogue.metric_names(found.gid)
    values = {
        "sweep": found,
        "counts": catalogue.counts(found.gid),
        "plan": describe_plan(catalogue.plan(found.gid)),
        "axes": numeric,
        "metrics": [*metrics, DURATION],
        "failures": catalogue.jobs(sweep=found.gid, status=Status.ERROR, limit=5),
        "bundles": request.app.state.bundles.of(found.gid),
    }
    return render_page(request, "sweep.html", values)


def sweep_progress(request: Request) -> Response:
    """Show the progress of a sweep, for updates."""
    found = _sweep(request)
    values = {"sweep": found, "counts": catalogue_of(request).counts(found.gid)}
    return render_page(request, "_progress.html", values)


def sweep_remarks(request: Request) -> Response:
    """Show remarks about the results; the page loads them later, because they count all results."""
    found = _sweep(request)
    return render_page(request, "_remarks.html", {"sweep": found, "remarks": remarks(catalogue_of(request), found)})


def sweep_chart(request: Request) -> Response:
    """Show the chart of a sweep over the parameters `x` and `y`, or all, coloured by a metric."""
    catalogue, found = catalogue_of(request), _sweep(request)
    value = request.query_params.get("value") or next(iter(catalogue.metric_names(found.gid)), DURATION)
    step = max(1, -(-found.size // MOST_MARKS))
    every = catalogue.points(found.gid, value, numbers=range(0, found.size, step) if step > 1 else None)
    points = [point for point in every if point.status == Status.FINISHED]
    asked = [name for name in (request.query_params.get("x"), request.query_params.get("y")) if name]
    known = {name: _number(v) is not None for name, v in points[0].parameters.items()} if points else {}
    axes = [name for name in dict.fromkeys(asked) if known.get(name)] or [name for name in known if known[name]]
    marks = [
        Mark(
            f"/jobs/{point.gid}",
            f"job {point.number}: {', '.join(f'{k}={number(v)}' for k, v in point.parameters.items())}; "
            f"{value} {'unknown' if point.value is None else format(point.value, '.4g')}",
            tuple(_number(point.parameters[name]) or 0.0 for name in axes),
            math.nan if point.value is None else point.value,
        )
        for point in points
    ]
    svg = sweep_svg(marks, axes, value) if marks and axes else ""
    return render_page(request, "_chart.html", {"svg": svg, "shown": len(marks), "size": found.size, "axes": axes})


# ------------------------------------------------------------------------------------------------------------ jobs


def jobs_page(request: Request) -> Response:
    """Show the table of jobs, filtered, sorted and paged by the catalogue."""
    catalogue, asked = catalogue_of(request), request.query_params
    values: dict[str, Any] = {name: asked.get(name, "") for name in ("sweep", "status", "where", "sort")}
    page = max(1, int(asked["page"])) if asked.get("page", "").isdigit() and len(asked["page"]) < 9 else 1
    found: list[Job] = []
    total, fault = 0, ""
    try:
        filters: dict[str, Any] = {
            "sweep": catalogue.find_sweep(values["sweep"]).gid if values["sweep"] else None,
            "status": Status(values["status"]) if values["status"] in list(Status) else None,
            "where": values["where"].strip() or None,
        }
        total = catalogue.count(**filters)
        found = catalogue.jobs(**filters, sort=values["sort"], limit=PAGE, offset=PAGE * (page - 1))
    except TvbBatchError as exc:
        fault = str(exc)
    gids = [job.gid for job in found]
    metrics, missing = catalogue.metrics(gids), catalogue.missing_metrics(gids)
    names = list(dict.fromkeys(name for job in found for name in job.parameters))[:6]
    measured = list(dict.fromkeys(name for values in metrics.values() for name in values if "." not in name))[:4]
    pages_ = max(1, -(-total // PAGE))
    return render_page(
        request, "jobs.html",
        {
            **values, "jobs": found, "metrics": metrics, "missing": missing, "names": names, "measured": measured,
            "fault": fault,
            "lacking": lacking_lines(count_lacking(missing.values(), _missing_names(missing))),
            "total": total, "page": page, "pages": pages_, "number": number, "seconds": _seconds,
            "link": lambda **changed: "/jobs?" + urlencode({k: v for k, v in {**values, **changed}.items() if v}),
        },
    )  # fmt: skip


def job_page(request: Request) -> Response:
    """Show one job: parameters, provenance, files, time series."""
    catalogue = catalogue_of(request)
    return render_page(request, "job.html", _job_values(request, catalogue.find_job(str(request.path_params["gid"]))))


def job_series(request: Request) -> Response:
    """Show a window of one time series of a job."""
    found = catalogue_of(request).find_job(str(request.path_params["gid"]))
    return render_page(request, "_series.html", _series_values(request, found, request.query_params))


def compare(request: Request) -> Response:
    """Show two jobs side by side with their differences."""
    catalogue = catalogue_of(request)
    keys = [request.query_params.get(name, "").strip() for name in ("a", "b")]
    if not all(keys):
        return render_page(request, "compare.html", {"sides": [], "keys": keys, "rows": []})
    sides = [_job_values(request, catalogue.find_job(key)) for key in keys]
    rows = []
    for heading in ("parameters", "measured", "provenance"):
        names = dict.fromkeys(name for side in sides for name in side[heading])
        rows += [(name, *(side[heading].get(name, "") for side in sides)) for name in names]
    # Differences first.
    rows = sorted(dict.fromkeys(rows), key=lambda row: row[1] == row[2])
    return render_page(request, "compare.html", {"sides": sides, "keys": keys, "rows": rows})


def _job_values(request: Request, found: Job) -> dict[str, Any]:
    catalogue, settings = catalogue_of(request), settings_of(request)
    if changed():
        # This server does not use objects of the user's modules: it runs longer than they stay unchanged.
        forget()
    own = {**found.parameters, "seed": found.seed}
    try:
        everything = simulation(found.sweep.base).with_parameters(own).parameters()
    except SpecError:
        # A user's class is missing here or was edited.
        everything = {**dict(parameters(found.sweep.base)), **own}
    # Metrics of the first monitor are also named without the monitor.
    known, metrics = job_as_dict(found), catalogue.metrics([found.gid])[found.gid]
    outputs, missing = catalogue.outputs([found.gid]), catalogue.missing_metrics([found.gid])[found.gid]
    measured = {name: f"{value:.6g}" for name, value in sorted(short_metrics(metrics).items())}
    provenance = {
        "sweep": found.sweep.name, "number": found.number, "seed": found.seed, "attempt": found.attempt,
        "worker": found.worker, "engine": found.engine, "why this engine": found.engine_reason,
        "left out of metrics": left_out(outputs),
        "created": known["created_at"], "started": known["started_at"], "finished": known["finished_at"],
        "seconds": known["seconds"], "parameters_hash": found.parameters_hash,
        **{f"version of {name}": version for name, version in (found.versions or {}).items()},
    }  # fmt: skip
    return {
        "job": found,
        "swept": {name: number(value) for name, value in found.parameters.items()},
        "parameters": {name: number(value) for name, value in everything.items()},
        "measured": measured | {name: f"none: {reason}" for name, reason in sorted(missing.items())},
        "provenance": {name: str(value) for name, value in provenance.items() if value not in (None, "")},
        "outputs": outputs,
        "attempts": catalogue.attempts(found.gid),
        "log": _log(settings.storage.logs, found.gid),
        "series": [_series_values(request, found, {"output": str(at)}) for at in range(len(outputs))],
    }


def _series_values(request: Request, found: Job, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a window of one output for the template, chosen by output, variable, nodes, start and stop."""
    outputs = catalogue_of(request).outputs([found.gid])
    at = _whole(asked.get("output"), 0)
    if not 0 <= at < len(outputs):
        raise NotFoundError(f"job {short(found.gid)} has no output {at}")
    with TimeSeries(settings_of(request).storage.absolute(outputs[at].path)) as series:
        data, attributes = series.data, series.attributes
        variables, nodes, modes = data.shape[1:]
        labels = attributes["labels_dimensions"]
        ordering = attributes["labels_ordering"]
        named = labels.get(ordering[2]) or _names(outputs[at], settings_of(request), nodes)
        variable = min(_whole(asked.get("variable"), 0), variables - 1)
        shown = _nodes(asked.get("nodes", ""), nodes)
        first, last = float(series.times[0]), float(series.times[len(series.times) - 1])
        start, stop = _window(asked.get("start"), asked.get("stop"), first, last)
        drawn = envelope(
            data, series.times, nodes=shown, variable=variable, mode=min(_whole(asked.get("mode"), 0), modes - 1),
            start=start, stop=stop,
        )  # fmt: skip
        title = f"{outputs[at].monitor}, {outputs[at].datatype}"
        variable_names = labels.get(ordering[1]) or [f"variable {number}" for number in range(variables)]
        transient = outputs[at].transient or 0.0
        svg = series_svg(drawn, [named[node] for node in shown], title, variable_names[variable], transient)
    return {
        "job": found, "output": outputs[at], "at": at, "title": title, "svg": svg, "drawn": drawn,
        "variables": variable_names, "legend": [named[node] for node in shown],
        "variable": variable, "nodes": _ranges(shown), "count": nodes, "start": start, "stop": stop,
        "transient": outputs[at].transient,
        "first": first, "last": last, "is_whole": (start, stop) == (first, last),
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------- workers and files


def workers_page(request: Request) -> Response:
    """Show workers and running jobs."""
    catalogue = catalogue_of(request)
    found = catalogue.workers(timedelta(seconds=settings_of(request).lease))
    running = [job for worker in found for job in worker.running][:200]
    values = {"workers": found, "running": running, "now": datetime.now(UTC)}
    return render_page(request, "_workers.html" if "hx-request" in request.headers else "workers.html", values)


def output_file(request: Request) -> Response:
    """Send one H5 file."""
    output = catalogue_of(request).output(request.path_params["gid"])
    path = settings_of(request).storage.absolute(output.path)
    if not path.is_file():
        raise NotFoundError(f"{path.name}: the file is not on this machine; is the data directory mounted?")
    return FileResponse(path, media_type="application/x-hdf5", filename=path.name)


def bundles(request: Request) -> Response:
    """Show finished and unfinished ZIPs."""
    directory = settings_of(request).storage.bundle("x").parent
    made = sorted(directory.glob("*.zip"), key=lambda path: -path.stat().st_mtime) if directory.is_dir() else []
    files = [(path.name, path.stat().st_size, datetime.fromtimestamp(path.stat().st_mtime, UTC)) for path in made]
    return render_page(request, "bundles.html", {"files": files, "making": request.app.state.bundles.all()})


def bundle_file(request: Request) -> Response:
    """Send one ZIP."""
    directory, name = settings_of(request).storage.bundle("x").parent, str(request.path_params["name"])
    known = {path.name: path for path in directory.glob("*.zip")} if directory.is_dir() else {}
    if name not in known or known[name].is_symlink():
        raise NotFoundError(f"{name}: no such bundle")
    return FileResponse(known[name], media_type="application/zip", filename=name)


# --------------------------------------------------------------------------------------------------------- helpers


def _missing_names(missing: Mapping[UUID, Mapping[str, str]]) -> list[str]:
    """Return the metrics of the first monitor that some jobs lack."""
    return sorted({name for one in missing.values() for name in one if "." not in name})


def _sweep(request: Request) -> Sweep:
    return catalogue_of(request).find_sweep(str(request.path_params["gid"]))


def _number(value: object) -> float | None:
    return as_columns(value)[0]


def _seconds(found: Job) -> float | None:
    seconds: float | None = job_as_dict(found)["seconds"]
    return seconds


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else default


def _names(output: Output, settings: Settings, count: int) -> list[str]:
    """Return the labels of the nodes of a series, from its datatypes."""
    for path in output.refers_to:
        names = node_labels(settings.storage.absolute(path))
        if len(names) == count:
            return names
    return [f"node {number}" for number in range(count)]


def _nodes(text: str, count: int) -> list[int]:
    """Return the nodes in `0-3, 7`, at most as many as a plot can show."""
    found: list[int] = []
    for part in text.replace(" ", "").split(",")[: 2 * MOST_NODES]:
        low, _, high = part.partition("-")
        begin = _whole(low, -1)
        end = _whole(high, begin)
        found += [node for node in range(begin, min(end, begin + MOST_NODES) + 1) if 0 <= node < count]
    return list(dict.fromkeys(found))[:MOST_NODES] or list(range(min(NODES, count)))


def _ranges(nodes: list[int]) -> str:
    whole = nodes == list(range(nodes[0], nodes[-1] + 1)) and len(nodes) > 2
    return f"{nodes[0]}-{nodes[-1]}" if whole else ",".join(map(str, nodes))


def _window(start: str | None, stop: str | None, first: float, last: float) -> tuple[float, float]:
    begin, end = _time(start, first), _time(stop, last)
    begin, end = min(max(begin, first), last), min(max(end, first), last)
    return (begin, end) if begin < end else (first, last)


def _time(text: str | None, default: float) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        return default
    return value if math.isfinite(value) else default


def _log(directory: Path, gid: UUID, most: int = 2**20) -> list[str]:
    """Return the log lines of a job from the last MB of each worker log on this machine."""
    found: list[str] = []
    for path in sorted(directory.glob("*.log")) if directory.is_dir() else []:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            lines = file.read(most).decode(errors="replace").splitlines()
        found += [line for line in lines if str(gid) in line]
    return found[-50:]
