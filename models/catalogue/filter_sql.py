"""Turns filters and sort orders into SQL. Every value is bound, every name is data.

Each name (a swept parameter, a parameter of the whole sweep, a metric) is looked up first. So each comparison queries
the one table with its values, through the index on name and number.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    and_,
    case,
    false,
    func,
    literal,
    or_,
    select,
    true,
)  # fmt: skip
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased
from sqlalchemy.sql.functions import FunctionElement

from tvb_batch.models.catalogue.base import OWNER, is_sqlite, now
from tvb_batch.models.catalogue.filter_language import (
    FIELDS,
    All,
    Comparison,
    Either,
    FieldType,
    Missing,
    Node,
    Not,
    Operator,
    Value,
)
from tvb_batch.models.catalogue.tables import Job, JobMetric, JobParameter, Output, Sweep, SweepParameter

Condition = ColumnElement[bool]
Table = type[JobParameter] | type[SweepParameter] | type[JobMetric]

#: The tables that may hold the value of a name.
TABLES: tuple[Table, ...] = (JobParameter, SweepParameter, JobMetric)

_OPERATORS: Mapping[str, Callable[[Any, Any], Condition]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

#: A comparison with more matching rows than this counts as large.
FEW = 20_000

#: Characters of a text that rows store.
TEXT_LETTERS = 500


class _Seconds(FunctionElement[float]):
    """Seconds from the second time to the first."""

    type = Float(53)
    inherit_cache = True


@compiles(_Seconds, "sqlite")
def _sqlite_seconds(element: _Seconds, compiler: Any, **options: Any) -> str:
    end, start = (compiler.process(clause, **options) for clause in element.clauses)
    # SQLite's days have a resolution of a millisecond; rounding removes the error of the arithmetic.
    return f"round((julianday({end}) - julianday({start})) * 86400.0, 3)"


@compiles(_Seconds)
def _seconds(element: _Seconds, compiler: Any, **options: Any) -> str:
    end, start = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM {end} - {start}) AS DOUBLE PRECISION)"


def tables_of(session: Session, names: Iterable[str]) -> dict[str, tuple[Table, ...]]:
    """Return the tables in which each name that is not a field has values."""

    def has(table: Table, name: str) -> bool:
        # Use the order of an index: SQLite would search a rare name row by row.
        return session.scalar(select(true()).where(table.name == name).order_by(table.number).limit(1)) is not None

    return {name: tuple(table for table in TABLES if has(table, name)) for name in names if name not in FIELDS}


def filter_clause(session: Session, node: Node) -> Condition:
    """Return the condition for jobs that match: true or false, never NULL."""
    match node:
        case All(parts=parts):
            return and_(*(filter_clause(session, part) for part in parts))
        case Either(parts=parts):
            return or_(*(filter_clause(session, part) for part in parts))
        case Not(part=part):
            return ~filter_clause(session, part)
        case Comparison(name=name) if name in FIELDS:
            return _field(node)
        case Comparison(name=name):
            return or_(false(), *(_having(session, table, name, _row_fits(table, node)) for table in TABLES))
        case Missing(name="is_nan"):
            return false()
        case Missing(name=name) if name in FIELDS:
            return FIELD_COLUMNS[name]().is_(None)
        case Missing(name=name):
            return ~or_(false(), *(_having(session, table, name, true()) for table in TABLES))


def in_order(
    query: Select[Any], keys: Iterable[tuple[str, bool]], tables: Mapping[str, tuple[Table, ...]], *first: Any
) -> Any:
    """Sort the query: jobs without the value last; equal ones by newest sweep, then by point.

    Parameters
    ----------
    keys : from `models.catalogue.filter_language.sort_keys`
    first : columns to sort by before the keys
    """
    order: list[Any] = list(first)
    for name, is_down in keys:
        columns: list[Any] = [FIELD_COLUMNS[name]()] if name in FIELDS else []
        for table in tables.get(name, ()):
            row = aliased(table)
            query = query.outerjoin(row, and_(row.name == name, _owner(row, table)))
            columns.append((row.number, getattr(row, "text", None)))
        if columns and name not in FIELDS:
            numbers, texts = zip(*columns, strict=True)
            found = [text for text in texts if text is not None]
            columns = [_first(numbers), *([_first(found)] if found else [])]
        order += [(column.desc() if is_down else column.asc()).nulls_last() for column in columns]
    return query.order_by(*order, Job.sweep_id.desc(), Job.number)


def along_index(
    session: Session, keys: Sequence[tuple[str, bool]], tables: Mapping[str, tuple[Table, ...]], sweep: UUID | None
) -> Any:
    """Return all jobs with a number for the first key, in the order of `in_order`, from an index.

    Return None if the values are in more than one table, or in the rows of the jobs.

    Parameters
    ----------
    sweep : only jobs of this large sweep
    """
    (name, is_down), *rest = keys
    if name in FIELDS or len(tables[name]) != 1 or tables[name] == (SweepParameter,):
        return None
    [table] = tables[name]
    number = table.number.desc() if is_down else table.number.asc()
    rows = select(Job.id).join(table, _owner(table, table)).where(table.name == name, table.number.is_not(None))
    if sweep is not None:
        # Otherwise SQLite would use the sweep's index and sort the jobs.
        own = Job.sweep_id + 0 if is_sqlite(session) else Job.sweep_id
        rows = rows.where(own == select(Sweep.id).where(Sweep.gid == sweep).scalar_subquery())
    return in_order(rows, rest, tables, number)


def _first(columns: Sequence[Any]) -> Any:
    return func.coalesce(*columns) if len(columns) > 1 else columns[0]


def _owner(row: Any, table: Table) -> Any:
    if table is SweepParameter:
        return Job.sweep_id == row.sweep_id
    return (OWNER if table is JobMetric else Job.id) == row.job_id


# ------------------------------------------------------------------------------------------- parameters and metrics


def _having(session: Session, table: Table, name: str, fits: Condition) -> Condition:
    """Return the condition for jobs with a matching row of this name.

    The row is their own, their sweep's, or a metric of the job whose files they share.

    With few matching rows, the jobs are found from the rows; with many, each job is checked for a row.
    """
    owner = table.sweep_id if table is SweepParameter else table.job_id  # type: ignore[union-attr]
    rows = select(owner).where(table.name == name, fits)
    count = session.scalar(select(func.count()).select_from(rows.limit(FEW + 1).subquery())) or 0
    if not count:
        return false()
    if table is SweepParameter:
        return Job.sweep_id.in_(rows)
    if count > FEW:
        return rows.where(_owner(table, table)).correlate(Job).exists()
    return (Job.id if table is JobParameter else OWNER).in_(rows)


def _row_fits(table: Table, wanted: Comparison) -> Condition:
    if wanted.operator not in ("=", "!=", "in"):
        return _holds(table.number, wanted.operator, wanted.value)
    equals = _row_equals(table, _listed(wanted))
    return ~equals if wanted.operator == "!=" else equals


def _row_equals(table: Table, values: Sequence[Value]) -> Condition:
    numbers = [value for value in values if isinstance(value, float)]
    texts = [str(value)[:TEXT_LETTERS] for value in values if not isinstance(value, float)]
    found: list[Condition] = [and_(table.number.is_not(None), table.number.in_(numbers))] if numbers else []
    if texts and table is not JobMetric:
        text = table.text  # type: ignore[union-attr]
        found.append(and_(text.is_not(None), text.in_(texts)))
    return or_(*found) if found else false()


def _listed(wanted: Comparison) -> Sequence[Value]:
    return wanted.value if isinstance(wanted.value, tuple) else (wanted.value,)


# ----------------------------------------------------------------------------------------------------------- fields


def running_time() -> ColumnElement[Any]:
    """Return the running time of a job in seconds."""
    end = func.coalesce(Job.finished_at, literal(now(), Job.started_at.type))
    return case((Job.started_at.is_not(None), _Seconds(end, Job.started_at)))


def _is_nan() -> Condition:
    diverged = select(Output.job_id).where(Output.is_nan)
    return or_(Job.id.in_(diverged), and_(Job.source_id.is_not(None), Job.source_id.in_(diverged)))


#: Columns of `models.catalogue.filter_language.FIELDS`.
FIELD_COLUMNS: dict[str, Callable[[], ColumnElement[Any] | InstrumentedAttribute[Any]]] = {
    "status": lambda: Job.status, "sweep": lambda: Job.sweep_id, "gid": lambda: Job.gid, "number": lambda: Job.number,
    "repeat": lambda: Job.repeat, "seed": lambda: Job.seed, "attempt": lambda: Job.attempt,
    "progress": lambda: Job.progress, "duration": running_time, "created": lambda: Job.created_at,
    "started": lambda: Job.started_at, "finished": lambda: Job.finished_at, "worker": lambda: Job.worker,
    "engine": lambda: Job.engine, "error": lambda: Job.error, "error_type": lambda: Job.error_type, "is_nan": _is_nan,
}  # fmt: skip


def _field(wanted: Comparison) -> Condition:
    if wanted.name in ("sweep", "gid"):
        found = _named(wanted.name, [str(value) for value in _listed(wanted)])
        return ~found if wanted.operator == "!=" else found
    column: Any = FIELD_COLUMNS[wanted.name]()
    if FIELDS[wanted.name] is FieldType.TRUTH:
        wants = {value is (wanted.operator != "!=") for value in _listed(wanted)}
        return or_(*(column if want else ~column for want in wants))
    return _holds(column, wanted.operator, wanted.value)


def _named(field: str, keys: Sequence[str]) -> Condition:
    """Return the condition for a gid by its first characters, and for a sweep also by name."""
    table = Sweep if field == "sweep" else Job
    begins = [found for found in map(gid_range, keys) if found is not None]
    fits: list[Condition] = [and_(table.gid >= first, table.gid <= last) for first, last in begins]
    if field == "gid":
        return or_(*fits) if fits else false()
    return Job.sweep_id.in_(select(Sweep.id).where(or_(Sweep.name.in_(keys), *fits)))


def gid_range(key: str) -> tuple[UUID, UUID] | None:
    """Return the first and last gid with these first characters; None if they are not hexadecimal."""
    digits = key.replace("-", "").lower()
    if not 4 <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _holds(column: Any, sign: Operator, value: Any) -> Condition:
    """Return the comparison, false where the column has no value."""
    if isinstance(value, tuple):
        compared: Condition = column.in_([_bound(item) for item in value])
    else:
        compared = _OPERATORS[sign](column, _bound(value))
    return and_(column.is_not(None), compared)


def _bound(value: Any) -> Any:
    """Return a number bound with its own type: with the type of an integer column, 2.5 would become 2."""
    if isinstance(value, int | float):
        return literal(value, BigInteger() if isinstance(value, int) else Float(53))
    return value
