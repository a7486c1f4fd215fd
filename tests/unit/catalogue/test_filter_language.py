"""Filters find the same jobs as plain Python in a real catalogue, and all other texts are refused."""

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import pytest
from conftest import SHORT
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, update
from sqlalchemy import text as sql

from tvb_batch.models.catalogue import Catalogue, OutputRecord, filter_sql, queries
from tvb_batch.models.catalogue.filter_language import (
    MOST_LETTERS,
    All,
    Comparison,
    Either,
    Filter,
    FilterError,
    Missing,
    Not,
)
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job
from tvb_batch.models.spec.sweep import sweep

LEASE = timedelta(seconds=60)
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


# ------------------------------------------------------------------------------------------------------- the parser


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("coupling.a >= 5", Comparison("coupling.a", ">=", 5.0)), ("a=1e-3", Comparison("a", "=", 0.001)),
        ("a == -.5", Comparison("a", "=", -0.5)), ("model.class != JansenRit", Comparison("model.class", "!=", "JansenRit")),
        ("model.class <> 'a b'", Comparison("model.class", "!=", "a b")), ('a = "it\'s"', Comparison("a", "=", "it's")),
        ("monitors[0].period<2", Comparison("monitors[0].period", "<", 2.0)), ("a = '5'", Comparison("a", "=", "5")),
        ("connectivity = connectivity_76.zip", Comparison("connectivity", "=", "connectivity_76.zip")),
        ("status = error", Comparison("status", "=", "ERROR")), ("seed = 123456789012345678", Comparison("seed", "=", 123456789012345678)),
        ("attempt > 1.5", Comparison("attempt", ">", 1.5)), ("is_nan", Comparison("is_nan", "=", True)),
        ("is_nan != TRUE", Comparison("is_nan", "!=", True)), ("not is_nan", Not(Comparison("is_nan", "=", True))),
        ("mean is nan", Missing("mean")), ("mean IS NOT None", Not(Missing("mean"))),
        ("a in (1, 'x', y)", Comparison("a", "in", (1.0, "x", "y"))), ("a not in (1)", Not(Comparison("a", "in", (1.0,)))),
        ("a=1 or b=2 AND not c=3", Either((Comparison("a", "=", 1.0), All((Comparison("b", "=", 2.0), Not(Comparison("c", "=", 3.0))))))),
        ("(a=1 or b=2) and c=3", All((Either((Comparison("a", "=", 1.0), Comparison("b", "=", 2.0))), Comparison("c", "=", 3.0)))),
        ("created > 2026-01-31T12:00:00+00:00", Comparison("created", ">", NOON)), ("android = 1", Comparison("android", "=", 1.0)),
        ("\n a\t=\n1 ", Comparison("a", "=", 1.0)), ("worker = 'host:12'", Comparison("worker", "=", "host:12")),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_filter_is_read(text: str, tree: object) -> None:
    assert Filter.parse(text).tree == tree


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "is empty"), ("   ", 3, "is empty"), ("a", 0, "operator"), ("a >", 3, "the filter ends here; expected a value"), ("> 5", 0, "expected a name"),
        ("a ~ 5", 2, "found '~'; expected an operator"), ("a > b", 4, "'b' is not a number"), ("1a = 2", 0, "expected a name"),
        ("a = 1 b", 6, "found 'b'; expected `and`"), ("(a = 1", 6, "expected `)`"), ("a = 1)", 5, "found ')'"),
        ("status = BROKEN", 9, "expected one of pending, running"), ("status = ERRR", 9, "did you mean 'ERROR'"), ("status < ERROR", 7, "no order"),
        ("worker >= x", 7, "no order"), ("attempt = two", 10, "'two' is not a number"), ("created > soon", 10, "is not a time"),
        ("is_nan = 3", 9, "true or false"), ("a in 5", 5, "expected `(`"), ("a in ()", 6, "expected a value"), ("a not 5", 6, "expected `in`"),
        ("a is 5", 5, "expected `nan`"), ("and = 1", 0, "expected a name"), ("a = and", 4, "expected a value"), ("a = 1e999", 4, "not a number"),
        ("a = 'x", 4, "found"), ("not", 3, "the filter ends here"), ("a = 1 and", 9, "the filter ends here"), ("seed = 99999999999999999999999", None, ""),
        ("a = 'x\0'", 6, "a character that"), ("a = '\ud800'", 5, "a character that"), ("(" * 60 + "a=1" + ")" * 60, 51, "nested too deep"),
        ("not " * 60 + "a=1", 204, "nested too deep"), ("a" * 3000, MOST_LETTERS, "expected at most"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_an_invalid_filter_is_refused_in_one_line_with_the_place(text, position, words) -> None:
    if position is None:
        assert isinstance(Filter.parse(text).tree.value, float)  # Larger than any row's value, but still a number.
        return
    with pytest.raises(FilterError) as caught:
        Filter.parse(text)

    assert "\n" not in str(caught.value)
    assert caught.value.position == position
    assert words in str(caught.value)


INJECTIONS = [
    "a = 1; DROP TABLE job", "a = 1 -- comment", "a = 1 /* comment */ or 1=1", "1=1", "a = 1 union select * from job", "'a' = 'a'",
    "a = (select gid from job)", "a = 1 or exists(select 1)", "a = sleep(9)", "a) or (1=1", "a = 'x' || 'y'", "a like '%'",
    "__import__('os').system('true') = 1", "a = {}", "a = :b", "a = ?", "a = `b`", "a = $$x$$", "a\\ = 1", "a = 'x'' or 1=1", "a=%s",
    "job.id = 1 collate nocase", "a = 1 limit 1", "a = char(39)", "[a] = 1", "a.b; = 1", "a = b\\' or 1",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_an_injection_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(FilterError) as caught:
        Filter.parse(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["'; DROP TABLE job; --", "%", "_", "\\", "x' OR 'x'='x", "{}", ":a", "%(a)s", "é☃"])
def test_a_text_in_quotes_is_only_ever_a_value(text: str, catalogue) -> None:
    models = [{"class": "Kuramoto"}, {"class": "Generic2dOscillator"}]
    catalogue.add_sweep(sweep({**SHORT, "sweep": {"model": models}}))
    quoted = f'"{text}"'

    assert catalogue.count(where=f"model.class = {quoted}") == 0
    assert catalogue.count(where=f"model.class != {quoted}") == 2
    assert catalogue.count(where=f"worker = {quoted} or gid = {quoted} or sweep = {quoted}") == 0
    assert catalogue.count() == 2


@pytest.mark.slow
@given(st.text(max_size=30) | st.text("ab.=<>!()'\", \n\tandornotinis015e-;[]", max_size=40))
def test_any_text_is_a_filter_or_one_line(text: str) -> None:
    fault = None
    try:
        Filter.parse(text)
    except FilterError as exc:
        fault = exc

    assert fault is None or ("\n" not in str(fault) and 0 <= fault.position <= len(text))


def test_filters_are_joined() -> None:
    joined = Filter.all_of("a = 1 or b = 2", None, Filter.parse("c = 3"))

    assert Filter.parse(joined.text).tree == joined.tree
    assert joined.names == {"a", "b", "c"}
    assert Filter.all_of(None) is None
    assert Filter.all_of("a = 1") == Filter.parse("a = 1")


# ------------------------------------------------------------------------------------ on a catalogue, against Python


def output(**metrics: float) -> OutputRecord:
    return OutputRecord(
        uuid4(), "Raw", "TimeSeriesRegion", "outputs/x.h5", "tvb2", 1, "0" * 64, (1, 1, 1, 1),
        is_nan=metrics.get("mean", 0.0) > 3, metrics=metrics,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def filled(request, tmp_path_factory) -> Iterator[tuple[Catalogue, dict[Any, dict[str, Any]]]]:
    """Return a catalogue with jobs of three sweeps in every status, and the expected values of each job by name."""
    url = f"sqlite:///{tmp_path_factory.mktemp('filters')}/catalogue.sqlite"
    if request.param == "postgresql":
        template, name = request.getfixturevalue("postgres_server"), f"t{uuid4().hex}"
        engine = create_engine(template.format(name="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sql(f"CREATE DATABASE {name}"))
        engine.dispose()
        url = template.format(name=name)
    catalogue = Catalogue.open(url, create=True)
    first = {"coupling.a": [0.0, 1.0, 2.5], "model.tau": [1.0, 2.0]}
    second = {
        "model": [{"class": "Kuramoto", "omega": 2.0}, {"class": "Generic2dOscillator", "tau": 1.0}],
        "repeats": 2,
    }
    for name, changes in (("first", {"sweep": first}), ("second", {"sweep": second}), ("again", {"sweep": first})):
        made = catalogue.add_sweep(sweep({**SHORT, "name": name, **changes}))
        for job in catalogue.jobs(sweep=made.gid, status=Status.PENDING):
            _bring_forward(catalogue, job, "w1" if job.number % 2 else "w2")
    with catalogue._writing() as session:
        for index, job in enumerate(catalogue.jobs(limit=1000)):
            start = NOON + timedelta(seconds=index)
            times = {"created_at": start, "started_at": start if job.started_at else None}
            times["finished_at"] = start + timedelta(milliseconds=400 * index) if job.finished_at else None
            session.execute(update(Job).where(Job.id == job.id).values(**times))
    jobs = catalogue.jobs(limit=1000)
    metrics = catalogue.metrics([job.gid for job in jobs])
    yield catalogue, {job.gid: _known(catalogue, job, metrics[job.gid]) for job in jobs}
    catalogue.dispose()


def _bring_forward(catalogue: Catalogue, job: Job, worker: str) -> None:
    match job.number % 4:
        case 0 | 1:
            metrics = {"mean": float(job.number)} | ({"KuramotoIndex": 0.3 * job.number} if job.number % 4 else {})
            versions = {"tvb-library": version("tvb-library")}
            claim = catalogue.claim(job.gid, worker, LEASE)
            catalogue.finish(claim, [output(**metrics)], engine="reference", versions=versions)
        case 2:
            claim = catalogue.claim(job.gid, worker, LEASE)
            catalogue.fail(claim, "OutputError", "disk full", retryable=False, max_attempts=1)


def _known(catalogue: Catalogue, job: Job, metrics: dict[str, float]) -> dict[str, Any]:
    duration = (job.finished_at - job.started_at).total_seconds() if job.started_at and job.finished_at else None
    spec = sweep({**SHORT, "name": "x"}).base.canonical()
    model = job.parameters.get("model", spec["model"])
    values = {
        "status": str(job.status), "sweep": job.sweep.name, "number": job.number, "repeat": job.repeat, "seed": job.seed,
        "attempt": job.attempt, "progress": job.progress, "duration": duration, "created": job.created_at,
        "started": job.started_at, "finished": job.finished_at, "worker": job.worker, "engine": job.engine, "error": job.error,
        "is_nan": any(found.is_nan for found in catalogue.outputs([job.gid])), "conduction_speed": spec["conduction_speed"],
        "coupling.a": spec["coupling"]["a"][0], "model.class": model["class"], **metrics,
    }  # fmt: skip
    values |= {f"model.{name}": model[name][0] for name in ("tau", "omega") if name in model}
    return values | {name: value for name, value in job.parameters.items() if name != "model"}


Fits = Callable[[dict[str, Any]], bool]
COMPARE = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _comparing(name: str, sign: str, text: str, value: Any) -> tuple[str, Fits]:
    def fits(job: dict[str, Any]) -> bool:
        found = job.get(name)
        if found is None or (sign not in ("=", "!=") and isinstance(found, str)):
            return False
        return COMPARE[sign](found, value)

    return f"{name} {sign} {text}", fits


def _listing(name: str, values: list[Any], negated: bool) -> tuple[str, Fits]:
    words = ", ".join(repr(value) for value in values)
    return f"{name} {'not ' * negated}in ({words})", lambda job: (job.get(name) in values) != negated


def _missing(name: str, negated: bool) -> tuple[str, Fits]:
    return f"{name} is {'not ' * negated}nan", lambda job: (job.get(name) is None) != negated


number_names = st.sampled_from(
    ["coupling.a", "model.tau", "model.omega", "conduction_speed", "mean", "KuramotoIndex", "monitors[0].mean",
     "number", "repeat", "attempt", "progress", "duration", "nothing"]
)  # fmt: skip
text_names = st.sampled_from(["model.class", "sweep", "worker", "engine", "error", "coupling.a"])
texts = st.sampled_from(
    ["Kuramoto", "Generic2dOscillator", "first", "again", "w1", "w2", "reference", "disk full", "none"]
)
numbers = st.sampled_from([0, 1, 2, 3, 0.3, 0.9, 2.5, 1.5, -1, 1e-3, 3.0, 4, 2**53 + 1])
equalities, signs = st.sampled_from(["=", "!="]), st.sampled_from(sorted(COMPARE))
times = st.integers(-1, 17).map(lambda seconds: NOON + timedelta(seconds=seconds))
comparisons = st.one_of(
    st.builds(lambda name, sign, value: _comparing(name, sign, repr(value), value), number_names, signs, numbers),
    st.builds(lambda name, sign, value: _comparing(name, sign, repr(value), value), text_names, equalities, texts),
    st.builds(
        lambda sign, value: _comparing("status", sign, value.lower(), value), equalities, st.sampled_from(list(Status))
    ),
    st.builds(
        lambda name, sign, value: _comparing(name, sign, value.isoformat(), value),
        st.sampled_from(["created", "started", "finished"]), signs, times,
    ),
    st.builds(
        lambda sign, value: _comparing("is_nan", sign, str(value).lower(), value), equalities, st.booleans()
    ),
    st.just(("is_nan", lambda job: job["is_nan"])),
    st.builds(_listing, number_names, st.lists(numbers, min_size=1, max_size=3), st.booleans()),
    st.builds(_listing, text_names.filter(lambda name: name != "coupling.a"), st.lists(texts, min_size=1, max_size=3), st.booleans()),
    st.builds(_missing, st.one_of(number_names, text_names), st.booleans()),
)  # fmt: skip
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda a, b: (f"({a[0]}) and ({b[0]})", lambda job: a[1](job) and b[1](job)), inner, inner),
        st.builds(lambda a, b: (f"({a[0]}) OR ({b[0]})", lambda job: a[1](job) or b[1](job)), inner, inner),
        st.builds(lambda a: (f"not ({a[0]})", lambda job: not a[1](job)), inner),
    ),
    max_leaves=6,
)


@pytest.mark.slow
@pytest.mark.parametrize("few", [0, 5000])
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(found=filters)
def test_a_filter_finds_the_same_jobs_as_plain_python(filled, found, few, monkeypatch) -> None:
    # Comparisons with many matching rows use another query than those with few.
    monkeypatch.setattr(filter_sql, "FEW", few)
    catalogue, known = filled
    text, fits = found

    jobs = catalogue.jobs(where=text, limit=1000)

    assert {job.gid for job in jobs} == {gid for gid, values in known.items() if fits(values)}
    assert catalogue.count(where=text) == len(jobs)


def test_the_test_catalogue_has_jobs_of_every_kind(filled) -> None:
    _, known = filled

    assert {values["status"] for values in known.values()} == {"PENDING", "FINISHED", "ERROR"}
    assert {values["is_nan"] for values in known.values()} == {True, False}
    # A finished job of the first sweep is shared by the third.
    assert sum(
        values["sweep"] == "again" and "mean" in values and values["duration"] is None for values in known.values()
    )


def test_a_job_and_a_sweep_are_found_by_the_beginning_of_their_gid(filled) -> None:
    catalogue, known = filled
    job = catalogue.jobs()[0]

    assert [found.gid for found in catalogue.jobs(where=f"gid = {job.gid}")] == [job.gid]
    assert [found.gid for found in catalogue.jobs(where=f"gid in ({job.gid.hex[:12]})")] == [job.gid]
    assert catalogue.count(where=f"sweep = {job.sweep.gid.hex[:12]}") == 6
    assert catalogue.count(where=f"sweep != {job.sweep.gid.hex[:12]}") == len(known) - 6
    assert catalogue.count(where="gid = zzzz") == 0


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=number_names | st.sampled_from(["created", "worker", "model.class", "status"]), is_down=st.booleans())
def test_jobs_come_in_the_order_that_is_asked_for_and_those_without_a_value_last(filled, name, is_down) -> None:
    catalogue, known = filled

    jobs = catalogue.jobs(sort=f"{'-' * is_down}{name}", limit=1000)

    values = [known[job.gid].get(name) for job in jobs]
    there = list(itertools.takewhile(lambda value: value is not None, values))
    assert len(jobs) == len(known)
    assert there == sorted(there, reverse=is_down)
    assert all(value is None for value in values[len(there) :])


def test_several_names_sort_one_after_the_other(filled) -> None:
    catalogue, known = filled

    jobs = catalogue.jobs(sort="sweep, -coupling.a,number", limit=1000)

    keys = [(job.sweep_id, -known[job.gid]["coupling.a"], job.number) for job in jobs]
    assert keys == sorted(keys)
    for text in ("", ",", "a,,b", "a b", "-", "--a", "a; drop"):
        if text:
            with pytest.raises(FilterError):
                catalogue.jobs(sort=text)


def test_pages_follow_each_other_in_any_order(filled) -> None:
    catalogue, known = filled

    pages = [catalogue.jobs(sort="-mean", limit=5, offset=offset) for offset in range(0, len(known), 5)]

    assert len({job.gid for page in pages for job in page}) == len(known)


@pytest.mark.parametrize(
    "name", ["mean", "-mean", "coupling.a", "-coupling.a,number", "mean,-coupling.a", "conduction_speed", "model.class"]
)
@pytest.mark.parametrize("own", [True, False])
def test_pages_are_the_same_when_they_are_read_along_an_index(filled, monkeypatch, name, own) -> None:
    catalogue, known = filled
    one = catalogue.jobs()[-1].sweep.gid if own else None

    def pages(along_index: bool) -> list[list[Any]]:
        monkeypatch.setattr(queries._Fits, "are_many", lambda *_: along_index)
        return [
            [job.gid for job in catalogue.jobs(sweep=one, sort=name, limit=3, offset=offset)]
            for offset in range(0, len(known), 3)
        ]

    assert pages(True) == pages(False)


@pytest.mark.parametrize(
    "ask",
    [
        lambda catalogue: catalogue.jobs(limit=3), lambda catalogue: catalogue.jobs(limit=3, offset=9),
        lambda catalogue: catalogue.jobs(sort="-mean", limit=1), lambda catalogue: catalogue.jobs(sort="coupling.a", limit=1),
        lambda catalogue: catalogue.metrics([uuid4()]), lambda catalogue: catalogue.outputs([uuid4()]),
        lambda catalogue: catalogue.attempts(uuid4()), lambda catalogue: catalogue.unpublished(9),
    ],
    ids=["first page", "last page", "by metric", "by parameter", "metrics", "outputs", "attempts", "next to publish"],
)  # fmt: skip
def test_frequent_queries_use_indexes(catalogue, ask) -> None:
    made = catalogue.add_sweep(sweep({**SHORT, "name": "p", "sweep": {"coupling.a": [1.0, 2.0]}}))
    _bring_forward(catalogue, catalogue.jobs(sweep=made.gid)[1], "w")
    asked: list[tuple[str, Any]] = []
    listener = lambda _, __, statement, parameters, *___: asked.append((statement, parameters))  # noqa: E731
    event.listen(catalogue._engine, "before_cursor_execute", listener)

    ask(catalogue)

    event.remove(catalogue._engine, "before_cursor_execute", listener)
    with catalogue._engine.connect() as connection:
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            for statement, parameters in asked
        ]
    steps = [step[-1] for plan in plans for step in plan]
    assert steps
    # A search, or a scan of an index; never a scan of the table, and only equal values are sorted.
    assert not [step for step in steps if step.startswith("SCAN job") and " USING " not in step]
    assert not [step for step in steps if step == "USE TEMP B-TREE FOR ORDER BY" and "SCAN sweep" not in steps]


def test_unknown_names_are_reported(filled) -> None:
    catalogue, _ = filled

    assert catalogue.unknown(["coupling.a", "mean", "status", "couplin.a", "conduction_speed"]) == ["couplin.a"]


def test_a_running_job_has_run_for_a_while(catalogue) -> None:
    made = catalogue.add_sweep(sweep({**SHORT, "name": "r"}))
    job = catalogue.jobs(sweep=made.gid)[0]
    catalogue.claim(job.gid, "w", LEASE)
    with catalogue._writing() as session:
        session.execute(update(Job).values(started_at=datetime.now(UTC) - timedelta(hours=1)))

    assert catalogue.count(where="status = STARTED and duration > 3590 and duration < 3700") == 1


@pytest.mark.slow
def test_the_longest_filter_is_answered(filled) -> None:
    catalogue, known = filled
    text = " or ".join(["mean=1"] * 200)
    values = ",".join("1" for _ in range(900))

    assert len(text) <= MOST_LETTERS
    assert catalogue.count(where=text) == sum(values.get("mean") == 1 for values in known.values())
    assert catalogue.count(where=f"mean in ({values})") == catalogue.count(where="mean = 1")
    assert math.isfinite(catalogue.count(where="a=1 or " * 280 + "mean=1"))
