"""Reads files as TVB's readers do, with NumPy alone, so that the client knows what a worker will get.

TVB takes the first member of a zip whose name contains a word, reads texts with `numpy.loadtxt`, and treats an optional
member that it cannot read as empty. `tests/unit/intake/test_files.py` compares every form with TVB 2.10. Imports NumPy,
SciPy and h5py inside its functions.
"""

import bz2
import codecs
import io
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Byte order marks at the start of a text, and the names of the encodings.
_MARKS = (
    (codecs.BOM_UTF8, "a byte order mark"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)  # fmt: skip
_TEXTS = (".txt", ".csv")


class UnreadableError(ValueError):
    """A file holds data that TVB cannot read or use.

    Parameters
    ----------
    found : the member or array, and its fault
    expected : a description of valid content
    hint : what to do
    is_fatal : whether TVB fails although the member is optional
    """

    def __init__(self, found: str, expected: str = "", hint: str = "", *, is_fatal: bool = False) -> None:
        self.found, self.expected, self.hint, self.is_fatal = found, expected, hint, is_fatal
        super().__init__(found)


class Members:
    """The members of a zip, found and read as in `tvb.basic.readers.ZipReader`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = archive.namelist()
        #: Members that were read or tried, by the word that found them.
        self.taken: dict[str, str] = {}

    def find(self, word: str) -> str | None:
        """Return the first member whose name, with folders, contains the word."""
        return next((name for name in self.names if word in name and not name.startswith("__MACOSX")), None)

    def read(self, word: str, dtype: Any = float, columns: Sequence[int] | None = None) -> Any:
        """Return the array in the member for the word; None if TVB returns None.

        Raises
        ------
        UnreadableError
            There is no such member, or TVB cannot read it.
        """
        name = self.find(word)
        if name is None:
            raise UnreadableError(f"no member {word!r}{self._near(word)}")
        self.taken[word] = name
        if name.endswith(".bz2") and "/" in name:
            hint = "put it at the top of the zip"
            raise UnreadableError(f"{name}: TVB does not unpack .bz2 in a folder", hint=hint, is_fatal=True)
        return read_content(self._archive.read(name), name, dtype, columns)

    def content(self, name: str) -> bytes:
        """Return the unpacked content of a member."""
        content = self._archive.read(name)
        return bz2.decompress(content) if name.endswith(".bz2") else content

    def _near(self, word: str) -> str:
        near = [name for name in self.names if word.lower() in name.lower() and not name.startswith("__MACOSX")]
        return f", only {near[0]} (TVB's names are lower case)" if near else ""


def read_content(content: bytes, name: str, dtype: Any = float, columns: Sequence[int] | None = None) -> Any:
    """Return the array that `tvb.basic.readers.FileReader` reads from a member of a zip; None if it returns None.

    Raises
    ------
    UnreadableError
        The reader cannot read it.
    """
    import numpy as np

    try:
        if name.endswith(".h5"):
            return np.array([])
        if name.endswith(".bz2"):
            return _loadtxt(io.StringIO(bz2.decompress(content).decode()), dtype, columns)
        if name.endswith(".txt"):
            return _loadtxt(io.BytesIO(content), dtype, columns)
        if name.endswith((".npy", ".npz")):
            return np.load(io.BytesIO(content), allow_pickle=False)
        if name.endswith(".mtx"):
            from scipy import io as scipy_io

            return scipy_io.mmread(io.BytesIO(content))
    except (ValueError, OSError, EOFError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as exc:
        raise UnreadableError(f"{name}: {_reason(exc, content, name)}") from exc
    if name.endswith(".mat"):
        raise UnreadableError(f"{name}: TVB does not read MATLAB files in a zip")
    return None


def read_text(path: Path, dtype: Any = float, columns: Sequence[int] | None = None) -> Any:
    """Return the table of a text, plain or .bz2, as `numpy.loadtxt` reads the file.

    Raises
    ------
    UnreadableError
        It is not a table of numbers.
    """
    content = path.read_bytes()
    try:
        plain = bz2.decompress(content) if path.name.lower().endswith(".bz2") else content
        return _loadtxt(io.StringIO(without_mark(plain).decode()), dtype, columns)
    except (ValueError, OSError, EOFError) as exc:
        raise UnreadableError(_reason(exc, content, path.name)) from exc


def read_array_file(path: Path) -> Any:
    """Return the array of a .npy file, or the numbers of a .txt or .csv file.

    Raises
    ------
    UnreadableError
        The file has no array.
    """
    import numpy as np

    suffix = path.suffix.lower()
    if suffix == ".npy":
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as exc:
            raise UnreadableError(f"not a NumPy array ({short_reason(exc)})") from exc
    if suffix not in _TEXTS:
        raise UnreadableError("cannot be read as an array; expected .npy, .txt or .csv")
    content = without_mark(path.read_bytes())
    try:
        return _loadtxt(io.StringIO(content.decode()), float, None, delimiter="," if suffix == ".csv" else None)
    except ValueError as exc:
        raise UnreadableError(f"not a table of numbers ({short_reason(exc)})") from exc


# ------------------------------------------------------------------------------------------------ byte order marks


def without_mark(content: bytes) -> bytes:
    """Return the text without a UTF-8 byte order mark, which TVB reads as three characters."""
    return content.removeprefix(codecs.BOM_UTF8)


def marked_members(path: Path) -> list[str]:
    """Return the members of a zip, or the text itself, with a UTF-8 byte order mark."""
    if path.suffix.lower() in _TEXTS:
        with path.open("rb") as file:
            return [path.name] if file.read(3) == codecs.BOM_UTF8 else []
    if path.suffix.lower() != ".zip":
        return []
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(_TEXTS)]
        return [name for name in names if _begins(archive, name) == codecs.BOM_UTF8]


def without_marks(path: Path) -> io.BytesIO | None:
    """Return the same zip or text without byte order marks; None if it has none."""
    marked = marked_members(path)
    if not marked:
        return None
    if path.suffix.lower() in _TEXTS:
        return io.BytesIO(without_mark(path.read_bytes()))
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            content = old.read(member)
            # With a fixed date, so that the bytes are always the same.
            entry = zipfile.ZipInfo(member.filename, member.date_time)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, without_mark(content) if member.filename in marked else content)
    return made


def _begins(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        return member.read(3)


# --------------------------------------------------------------------------------------------------------- reasons


def short_reason(exc: BaseException) -> str:
    """Return the message of an exception in one line of at most 200 characters."""
    text = " ".join(str(exc).split())
    text = re.sub(r"'([^']{30})[^']{10,}'", r"'\1...'", text)
    # NumPy counts these rows from 0, and columns from 1.
    text = re.sub(r"at row (\d+), column", lambda match: f"in row {int(match[1]) + 1}, column", text)
    return text[:200].rstrip(". ") or type(exc).__name__


def _loadtxt(stream: Any, dtype: Any, columns: Sequence[int] | None, delimiter: str | None = None) -> Any:
    import numpy as np

    with warnings.catch_warnings(action="ignore"):  # An empty file is an empty array.
        return np.loadtxt(stream, dtype=dtype, usecols=columns, delimiter=delimiter)


def _reason(exc: BaseException, content: bytes, name: str) -> str:
    """Return why a text cannot be read, and its separators if these are the reason."""
    short = name.rpartition("/")[2]
    if short.startswith("._"):
        return f"a macOS system file, which TVB takes for {short[2:]}; remove the `._` files from the zip"
    for mark, form in _MARKS:
        if content.startswith(mark):
            return f"begins with {form}; save it as plain text"
    line = next((line for line in content[:65536].splitlines() if line.strip() and not line.startswith(b"#")), b"")
    if name.endswith(".txt") and b";" in line:
        return f"numbers are separated by semicolons; expected blanks and decimal points ({short_reason(exc)})"
    if name.endswith(".txt") and b"," in line:
        return f"contains commas; expected blanks between numbers, and decimal points ({short_reason(exc)})"
    return short_reason(exc)
