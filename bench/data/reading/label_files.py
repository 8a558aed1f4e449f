"""Label files as text: read, split into lines and fields, and refused with the line that is wrong.

Parsers take text and a name for errors (`origin`), so that they are functions without files.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.errors import UserError

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


def read_text(path: Path) -> str:
    """A label file's text, without byte order mark.

    Raises:
        UserError: If it cannot be read or is no text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file in UTF-8 ({error.reason}).") from error
    if "\0" in text:
        raise UserError(f"{path}: is not a text file (it has NUL characters).")
    return text


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a label file that is too large to be held whole; else as `read_text`.

    Raises:
        UserError: If it cannot be read or is no text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file in UTF-8 ({error.reason}).") from error


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


def wrong_line(origin: str, number: int, found: object, expected: str) -> UserError:
    """The error for a line that is not what it should be."""
    shown = str(found)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return UserError(f"{origin}, line {number}: expected {expected}, found {shown!r}.")


def whole_number(text: str, origin: str, number: int, expected: str) -> int:
    """A plain decimal integer, "-2" at the least; no "1_000", no "१", no "1.5".

    Raises:
        UserError: Naming the line.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise wrong_line(origin, number, text, expected)
    return int(text)
