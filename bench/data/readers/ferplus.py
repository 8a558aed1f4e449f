"""FERPlus (Barsoum et al., ICMI 2016): the pictures of FER2013, each labelled by ten people."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field
from typing_extensions import override

from bench.data.base import Split
from bench.data.readers.base import Entry, Layout, Listing
from bench.data.readers.fer2013 import (
    TERMS,
    Fer2013Row,
    folder_of,
    has_pictures,
    parse_usage,
    pixels_of,
    read_rows,
    row_id,
)
from bench.data.reading.tables import csv_rows, read_text, whole_number, wrong_line
from bench.data.reading.tree import locate
from bench.labels import CONTEMPT, ORDERS, ordered
from bench.util.errors import UserError

LABEL_FILE = "fer2013new.csv"

#: What people could vote for, in the order of the columns.
CHOICES = (*ORDERS["ferplus"], "unknown", "nf")

_VOTERS = 10
_COLUMNS = ("usage", "image name", *CHOICES)


class Votes(NamedTuple):
    """A line of the label file."""

    number: int  # of the line, from 1
    split: Split
    votes: tuple[int, ...]  # for each of `CHOICES`


class FerPlus(Layout):
    """FERPlus, labelled by the majority.

    `attributes` of a sample are its votes: `votes_neutral` to `votes_contempt`, `votes_unknown` and
    `votes_nf` (no face).
    """

    title: ClassVar[str] = "FERPlus"
    terms: ClassVar[str | None] = TERMS
    expects: ClassVar[str] = f"DIR/fer2013.csv and DIR/{LABEL_FILE}, line by line the same pictures"

    kind: Literal["ferplus"] = "ferplus"
    classes: Literal[8, 7] = Field(default=8, description="With contempt, or without.")

    @property
    def name(self) -> str:
        """With its number of classes where it is not the usual one."""
        return "ferplus" if self.classes == 8 else "ferplus_7"

    @property
    def protocol(self) -> str:
        """Which labels, whose split."""
        return f"majority of votes, {self.classes} classes; PrivateTest, PublicTest for validation"

    @override
    def listing(self) -> Listing:
        base = locate(folder_of(self.root), _fits, f"expected {self.expects}")
        label_file = base / LABEL_FILE
        name, rows = read_rows(base)
        votes = parse_votes(read_text(label_file), str(label_file))
        _require_aligned(rows, votes, name, str(label_file))
        classes = tuple(c for c in ORDERS["ferplus"] if self.classes == 8 or c != CONTEMPT)
        left_out: Counter[str] = Counter()
        entries = []
        for place, (row, given) in enumerate(zip(rows, votes, strict=True)):
            label = majority(given.votes)
            if label in classes:
                cast = {f"votes_{c}": n for c, n in zip(CHOICES, given.votes, strict=True)}
                source = pixels_of(name, row)
                entries.append(Entry(row_id(place), label, row.split, source, attributes=cast))
            else:
                left_out[_reason(label)] += 1
        return Listing(base, tuple(entries), ordered(set(classes)), left_out=left_out)


def parse_votes(text: str, origin: str) -> list[Votes]:
    """The votes of each line of fer2013new.csv; a header may be missing.

    Raises:
        UserError: Naming the line.
    """
    found: list[Votes] = []
    places: Sequence[int] = range(len(_COLUMNS))
    for number, fields in csv_rows(text, origin):
        if len(fields) < len(_COLUMNS):
            raise wrong_line(origin, number, ",".join(fields), f"{len(_COLUMNS)} fields")
        names = [field.lower() for field in fields]
        if not found and set(_COLUMNS) <= set(names):
            places = [names.index(column) for column in _COLUMNS]
            continue
        if len(fields) <= max(places):
            raise wrong_line(origin, number, ",".join(fields), "as many fields as in the header")
        usage, _, *votes = (fields[place] for place in places)
        split = parse_usage(usage, origin, number)
        found.append(Votes(number, split, tuple(_vote(vote, origin, number) for vote in votes)))
    if not found:
        raise UserError(f"{origin}: there are no votes in it.")
    return found


def majority(votes: Sequence[int]) -> str | None:
    """The choice of more than half of the voters, None if there is none.

    Choices of a single voter do not count, neither for themselves nor for the half: the protocol of
    the authors' code.

    Args:
        votes: For each of `CHOICES`.
    """
    counted = [vote if vote > 1 else 0 for vote in votes]
    most = max(counted)
    return CHOICES[counted.index(most)] if 2 * most > sum(counted) else None


def _vote(text: str, origin: str, number: int) -> int:
    expected = f"votes from 0 to {_VOTERS}"
    vote = whole_number(text, origin, number, expected)
    if not 0 <= vote <= _VOTERS:
        raise wrong_line(origin, number, text, expected)
    return vote


def _require_aligned(
    rows: Sequence[Fer2013Row], votes: Sequence[Votes], name: str, origin: str
) -> None:
    """Only their order ties votes to pictures: a line more or less would mix up everything."""
    if len(rows) != len(votes):
        raise UserError(
            f"{origin}: {len(votes):,} lines of votes, but {name} has {len(rows):,} pictures; the "
            "two belong together line by line. Take both files whole and unsorted."
        )
    for row, given in zip(rows, votes, strict=True):
        if row.split != given.split:
            raise UserError(
                f"{origin}, line {given.number}: its Usage is not that of {name}, line "
                f"{row.number}; the two belong together line by line. Take both files unsorted."
            )


def _reason(label: str | None) -> str:
    if label is None:
        return "no majority"
    return {"nf": "no face", "unknown": "unknown to the majority"}.get(label, label)


def _fits(folder: Path) -> bool:
    return has_pictures(folder) and (folder / LABEL_FILE).is_file()
