"""Label files as text: read, split into lines and fields, and refused with the line that is wrong.

Parsers take text and a name for errors (`origin`), so that they are functions without files.
"""

import contextlib
import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.util.errors import UserError

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


def read_text(path: Path) -> str:
    """A label file's text, without byte order mark.

    Raises:
        UserError: If it cannot be read or is no text.
    """
    with _as_text(path):
        text = path.read_bytes().decode("utf-8-sig")
    if "\0" in text:
        raise UserError(
            f"{path}: is not a text file in UTF-8 (it has NUL characters). Save it as UTF-8."
        )
    return text


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a label file that is too large to be held whole; else as `read_text`.

    Raises:
        UserError: If it cannot be read or is no text.
    """
    with _as_text(path), path.open(encoding="utf-8-sig", newline="") as file:
        yield from file


@contextlib.contextmanager
def _as_text(path: Path) -> Iterator[None]:
    """What reading a file raises, in a sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: is not a text file in UTF-8 ({error.reason}). Save it as UTF-8."
        ) from error


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Number (from 1) and stripped content of every line that is not blank.

    Only line feeds and carriage returns end a line, as in the editors that wrote the files.
    """
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def csv_rows(
    text: str | Iterable[str], origin: str, delimiter: str = ","
) -> Iterator[tuple[int, list[str]]]:
    """Number (from 1) and stripped fields of every CSV row that is not blank.

    Args:
        text: The file, or its lines with their ends.
        origin: The file's name, for errors.
        delimiter: Between fields.

    Raises:
        UserError: If the quoting is broken.
    """
    # Not `splitlines`, which also ends lines at characters that may stand in a field; not a
    # `StringIO`, which takes four bytes for every character.
    found = (line.group() for line in _LINE.finditer(text)) if isinstance(text, str) else text
    reader = csv.reader(found, delimiter=delimiter, strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{origin}, line {reader.line_num}: not CSV ({error}).") from error
        stripped = [field.strip() for field in fields]
        if any(stripped):
            yield reader.line_num, stripped


def wrong_line(origin: str, number: int, found: object, expected: str, hint: str = "") -> UserError:
    """The error for a line that is not what it should be."""
    shown = str(found)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return UserError(
        f"{origin}, line {number}: expected {expected}, found {shown!r}. {hint}".rstrip()
    )


def whole_number(text: str, origin: str, number: int, expected: str) -> int:
    """A plain decimal integer, "-2" at the least; no "1_000", no "१", no "1.5".

    Raises:
        UserError: Naming the line.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise wrong_line(origin, number, text, expected)
    return int(text)


# ------------------------------------------------------------------------------------------------
# Tables of one's own as columns of text: CSV, TSV or Parquet.


#: Suffixes of tables, in lower case.
FORMATS = (".csv", ".tsv", ".parquet")

#: Of files that are tables if somebody says so.
NAMED_FORMATS = (*FORMATS, ".txt")


def tables_in(folder: Path) -> list[Path]:
    """The tables in a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in FORMATS)


_SHORT = 24  # characters


@dataclass(frozen=True)
class Table:
    """Columns of text; what is not given is empty.

    Attributes:
        origin: The file, for messages.
        columns: Values by name of the column, as many in each.
        numbers: Of each row's line in the file; in Parquet, where there are none, of the row.
    """

    origin: str
    columns: dict[str, list[str]]
    numbers: Sequence[int]


def read_table(path: Path) -> Table:
    """Read the table in a file.

    Raises:
        UserError: If it is none of `FORMATS`, or not what its suffix says.
    """
    if path.suffix.lower() != ".parquet":
        return parse_table(read_text(path), str(path))
    try:
        with pa.OSFile(str(path)) as file:  # PyArrow takes a path with a colon for a URI
            table = pq.read_table(file)
        names = table.column_names
        texts = [column.cast(pa.string()).fill_null("").to_pylist() for column in table.columns]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    _require_distinct(names, str(path))
    columns = {
        name: [value.strip() for value in values] for name, values in zip(names, texts, strict=True)
    }
    return Table(str(path), columns, range(1, table.num_rows + 1))


def column_names(path: Path) -> list[str]:
    """The columns of the table in a file, whose rows are not read; else as `read_table`.

    Raises:
        UserError: If it is none of `FORMATS`, or not what its suffix says.
    """
    if path.suffix.lower() != ".parquet":
        begin = "".join(islice((line for line in read_lines(path) if line.strip()), 2))
        return _header(csv_rows(begin, str(path), _separator(begin)))
    try:
        with pa.OSFile(str(path)) as file:
            return [str(name) for name in pq.read_schema(file).names]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _separator(text: str) -> str:
    """What separates most fields of the first line: a comma, a semicolon, a tab or a bar."""
    first = next((line.group() for line in _LINE.finditer(text) if line.group().strip()), "")
    return max(",;\t|", key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))


def _header(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    """The names of the columns; Excel reads a line `sep=;` before them, and writes it, too."""
    _, names = next(rows, (0, []))
    return next(rows, (0, []))[1] if names and names[0].lower().startswith("sep=") else names


def parse_table(text: str, origin: str) -> Table:
    """The table in a text whose first line names the columns, whatever separates them.

    Raises:
        UserError: Naming the line that has more or fewer fields than the first.
    """
    separator = _separator(text)
    rows = csv_rows(text, origin, separator)
    names = _header(rows)
    if not names:
        raise UserError(f"{origin}: the file is empty.")
    _require_distinct(names, origin)
    numbers: list[int] = []
    columns: list[list[str]] = [[] for _ in names]
    for number, fields in rows:
        if len(fields) != len(names):
            raise wrong_line(origin, number, separator.join(fields), f"{len(names)} fields")
        numbers.append(number)
        for column, field in zip(columns, fields, strict=True):
            # Labels and the like come over and over; paths are long and come once.
            column.append(sys.intern(field) if len(field) < _SHORT else field)
    return Table(origin, dict(zip(names, columns, strict=True)), numbers)


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"{path}: cannot be read as a table of text and numbers ({reason}).")


def _require_distinct(names: Sequence[str], origin: str) -> None:
    for place, name in enumerate(names):
        if name and name in names[:place]:
            raise UserError(f"{origin}: two columns are called {name!r}.")
