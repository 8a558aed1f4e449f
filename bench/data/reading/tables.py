"""Tables of one's own as columns of text: CSV, TSV or Parquet."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.data.reading.label_files import csv_rows, read_lines, read_text, wrong_line
from bench.errors import UserError

#: What separates the fields, by suffix in lower case; None where it is no text.
FORMATS: dict[str, str | None] = {".csv": ",", ".tsv": "\t", ".parquet": None}

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
    separator = FORMATS[path.suffix.lower()]
    if separator is not None:
        return parse_table(read_text(path), str(path), separator)
    try:
        table = pq.read_table(path)
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
    separator = FORMATS[path.suffix.lower()]
    if separator is not None:
        _, names = next(csv_rows(read_lines(path), str(path), separator), (0, []))
        return names
    try:
        return [str(name) for name in pq.read_schema(path).names]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def parse_table(text: str, origin: str, separator: str = ",") -> Table:
    """The table in a text whose first line names the columns.

    Raises:
        UserError: Naming the line that has more or fewer fields than the first.
    """
    rows = csv_rows(text, origin, separator)
    _, names = next(rows, (0, []))
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
