"""Loads a YAML, TOML or JSON file as a SweepSpec. Every error has its file and line. YAML tags make no objects."""

import csv
import json
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tvb_batch.models.errors import InputError, SpecError
from tvb_batch.models.spec.sweep import SweepSpec, sweep
from tvb_batch.submit.intake.files import locate, look

#: Maximum size of a spec file. Bytes.
MOST_BYTES = 2**20
#: Maximum size of a table of points. Bytes.
MOST_TABLE = 64 * 2**20
#: Maximum number of values; more come from aliases of aliases.
MOST_VALUES = 200_000

#: Line number of each dotted path, from 1.
Lines = Callable[[str], int | None]


def load_spec_file(file: str, tell: Callable[[str], None] = lambda _: None) -> SweepSpec:
    """Return the validated sweep in `file`; `-` reads YAML from standard input.

    Files are named relative to the spec; the sweep holds their absolute paths.

    Parameters
    ----------
    tell : called with a warning for each part of a file that TVB ignores or probably misreads

    Raises
    ------
    SpecError
        `file:line path: what was found; what was expected; a hint`.
    """
    name, text = _read(file)
    values, lines = _parse(name, text)
    try:
        if not isinstance(values, dict):
            raise SpecError("", f"a {type(values).__name__}", "a mapping with model, integrator, monitors ...")
        values = {"name": _default_name(name), **values}
        directory = Path(name).parent if file != "-" else Path()
        located = locate(sweep(_read_points(values, directory)), directory)
        for warning in look(located):
            tell(warning)
        return located
    except SpecError as exc:
        line = lines(exc.path)
        raise exc.at(f"{name}:{line}" if line else name) from exc


def _read(file: str) -> tuple[str, str]:
    try:
        if file == "-":
            name, content = "<stdin>", sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            # Read no more than the limit: the file may be an endless device or pipe.
            with Path(file).open("rb") as stream:
                name, content = file, stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise SpecError("", f"more than {MOST_BYTES:,} bytes", "a spec file", source=name)
        return name, content.decode("utf-8-sig")
    except OSError as exc:
        raise InputError(f"{file}: {exc.strerror}; expected a spec file (YAML, TOML or JSON)") from exc
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise SpecError("", "bytes that are not UTF-8", "a text file", source=f"{name}:{line}") from exc


def _parse(name: str, text: str) -> tuple[Any, Lines]:
    parsers = {".toml": _toml, ".json": _json}
    try:
        return parsers.get(Path(name).suffix.lower(), _yaml)(name, text)
    except RecursionError as exc:
        raise SpecError("", "values nested too deep", "a flat spec", source=name) from exc
    except ValueError as exc:
        if isinstance(exc, SpecError):
            raise
        # Values that a parser cannot convert, such as an integer of 5000 digits.
        raise SpecError("", str(exc).split(";")[0], "values that a spec can hold", source=name) from exc


def _default_name(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", Path(name).stem).lstrip("-") if name != "<stdin>" else "stdin"


def _read_points(values: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Read `list: points.csv` of a sweep."""
    plan = values.get("sweep")
    if not isinstance(plan, Mapping) or not isinstance(plan.get("list"), str):
        return values
    return {**values, "sweep": {**plan, "list": read_table(directory / plan["list"])}}


def read_table(path: Path) -> list[dict[str, Any]]:
    """Return the points of a CSV file: one column for each parameter, one line for each point.

    Raises
    ------
    SpecError
        It has no columns, or a line has another number of fields than columns.
    """
    # A device or a pipe may be endless.
    if path.exists() and not path.is_file():
        raise SpecError("sweep.list", f"{path.name}: no regular file", "a CSV file with a column for each parameter")
    if path.exists() and (size := path.stat().st_size) > MOST_TABLE:
        raise SpecError(
            "sweep.list", f"{path.name}: {size / 2**20:,.0f} MiB", f"a table of at most {MOST_TABLE >> 20} MiB"
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            points = [{str(name): _number(text) for name, text in row.items()} for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise SpecError("sweep.list", f"{path.name}: {reason}", "a CSV file with a column for each parameter") from exc
    for index, point in enumerate(points):
        if None in point.values() or "None" in point:
            raise SpecError("sweep.list", f"{path.name}:{index + 2}: another number of fields", "one for each column")
    return points


def _number(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# ---------------------------------------------------------------------------------------------------------- formats


class _Loader(yaml.SafeLoader):
    """Loads plain data. `1e-3` is a number; `1:40` and `010` are texts, not 100 and 8 as in YAML 1.1."""


_OWN_FORMS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag not in _OWN_FORMS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9]*)\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"""[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\Z
        |[-+]?[0-9]+[eE][-+]?[0-9]+\Z
        |[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z""",
        re.VERBOSE,
    ),
    list("-+.0123456789"),
)


def _yaml(name: str, text: str) -> tuple[Any, Lines]:
    found: dict[str, int] = {}
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return {}, found.get
            _index(node, "", found, [0], name)
            value = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        place = f"{name}:{mark.line + 1}" if mark else name
        problem = getattr(exc, "problem", None) or str(exc).splitlines()[0]
        raise SpecError("", problem, "YAML", source=place) from exc
    return value, lambda path: _nearest(found, path)


def _index(node: yaml.Node, path: str, found: dict[str, int], count: list[int], name: str) -> None:
    """Record the line of every path; refuse repeated keys, and aliases that multiply."""
    count[0] += 1
    if count[0] > MOST_VALUES:
        raise SpecError(
            "", f"more than {MOST_VALUES:,} values", "a spec", "aliases that refer to aliases?", source=name
        )
    found.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            word = str(key.value)
            line = key.start_mark.line + 1
            if word in seen:
                raise SpecError(f"{path}.{word}".lstrip("."), "a key given twice", "it once", source=f"{name}:{line}")
            seen.add(word)
            below = f"{path}.{word}" if path else word
            found[below] = line
            _index(value, below, found, count, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _index(item, f"{path}[{index}]", found, count, name)


def _json(name: str, text: str) -> tuple[Any, Lines]:
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, name))
    except json.JSONDecodeError as exc:
        raise SpecError("", exc.msg[0].lower() + exc.msg[1:], "JSON", source=f"{name}:{exc.lineno}") from exc
    try:
        _, lines = _yaml(name, text.replace("\t", " "))  # Without tabs, JSON is YAML; this parser gives lines.
    except SpecError:
        return value, lambda path: None
    return value, lines


def _once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise SpecError(key, "a key given twice", "it once", source=name)
        values[key] = value
    return values


def _toml(name: str, text: str) -> tuple[Any, Lines]:
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        match = re.search(r"\(at line (\d+), column \d+\)", str(exc))
        place = f"{name}:{match.group(1)}" if match else name
        raise SpecError("", re.sub(r" \(at .*\)$", "", str(exc)), "TOML", source=place) from exc
    return value, lambda path: _toml_line(text, path)


def _toml_line(text: str, path: str) -> int | None:
    """Return the line of the last word of `path`, below its table."""
    words = [word for word in re.split(r"[.\[\]]+", path) if word and not word.isdecimal()]
    start, found = 0, None
    lines = text.splitlines()
    for word in words:
        form = re.compile(
            rf"""\s*\[*["']?([\w-]+["']?\.)*["']?{re.escape(word)}\b|.*[{{,]\s*["']?{re.escape(word)}["']?\s*="""
        )
        for index in range(start, len(lines)):
            if form.match(lines[index]):
                start, found = index, index + 1
                break
    return found


def _nearest(found: Mapping[str, int], path: str) -> int | None:
    """Return the line of `path`, or of its parent."""
    while path:
        if path in found:
            return found[path]
        shorter = re.sub(r"(\.?[^.\[\]]+|\[\d+\])$", "", path)
        # A key may hold any characters, including brackets and points.
        path = shorter if len(shorter) < len(path) else path[:-1]
    return found.get("")
