"""What a table is, what its caption says, and what may stand in it; `present` writes it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from bench.report.outcomes import AccuracyEstimate, Difference, Number, same_samples
from bench.report.ranking import Mark, RankedScores, rank
from bench.report.results import TRANSDUCTIVE, Result, ResultSet
from bench.stats import SampleScores
from bench.store.checkpoints import GATE_FACTOR

# ------------------------------------------------------------------------------------------------
# What a table is
# ------------------------------------------------------------------------------------------------

#: Of a report, in order; `chapters` has their titles.
Chapter = Literal[
    "data",
    "clean",
    "corruptions",
    "attacks",
    "confidence",
    "groups",
    "emodc",
    "ablation",
    "diagnostics",
    "provenance",
]


class Link(str):
    """A text that leads somewhere on a page.

    Args:
        text: As it is read.
        address: Of a file beside the page; quoted, so that it is nothing else.
    """

    address: str

    def __new__(cls, text: str, address: str) -> "Link":
        """The text, with its address."""
        link = super().__new__(cls, text)
        link.address = quote(address)
        return link


#: Values with a number to cite.
Measured = AccuracyEstimate | Difference | Number
#: How None is shown.
ABSENT = "–"
#: None: not applicable, or not measured.
Value = str | AccuracyEstimate | Difference | Number | None


@dataclass(frozen=True)
class TableSpec:
    """A table.

    Attributes:
        name: Base of its file names, unique in a report.
        title: A few words.
        caption: What is shown, intervals; at most 40 words. Methods are in docs/statistics.md.
        header: Column names, (C,).
        rows: Values, each row (C,).
        marks: By (row, column), what a number is among those of its column.
        chapter: Where it stands in a report.
        seen: By (row, column), numbers under a corruption that the classifier met in training.
        remarks: Sentences on what is particular to these rows, such as what was left out.
        where: Data set, n, classes, seeds; a whole report says that once.
    """

    name: str
    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    marks: Mapping[tuple[int, int], Mark] = field(default_factory=dict)
    chapter: Chapter = "provenance"
    seen: frozenset[tuple[int, int]] = frozenset()
    remarks: tuple[str, ...] = ()
    where: str = ""

    @property
    def about(self) -> str:
        """Caption, what it was measured on, and remarks: of a table that stands alone."""
        return " ".join([self.caption, *([f"{self.where}."] if self.where else []), *self.remarks])

    @property
    def short(self) -> str:
        """Caption and remarks: of a table among those of its report."""
        return " ".join([self.caption, *self.remarks])

    def filled(self) -> "TableSpec":
        """Without the columns in which no row has anything."""
        kept = [
            c
            for c in range(len(self.header))
            if not c or not self.rows or any(row[c] is not None for row in self.rows)
        ]
        place = {old: new for new, old in enumerate(kept)}
        return replace(
            self,
            header=tuple(self.header[c] for c in kept),
            rows=tuple(tuple(row[c] for c in kept) for row in self.rows),
            marks={(r, place[c]): mark for (r, c), mark in self.marks.items() if c in place},
            seen=frozenset((r, place[c]) for r, c in self.seen if c in place),
        )


# ------------------------------------------------------------------------------------------------
# What all formats of a table share: kinds of columns, notes on marks, names made unique.

TIED = "≈"
SEEN = "†"
SEEN_NOTE = "seen in training: the classifier was trained with this corruption, or one alike."
TIED_NOTE = "not distinguishable from the best of its column."

_LOOKS_LIKE_A_NUMBER = re.compile(r"[-+<>=≈ ]*\d[\d.,]*(\W|$)")


def ends(value: Measured) -> tuple[str, str] | None:
    """Both ends of the value's interval as shown, or None if it has none."""
    low, comma, high = value.range.strip("[]").partition(", ")
    return (low, high) if comma else None


def holds_text(spec: TableSpec, column: int) -> bool:
    """Whether the column is to be read from the left: the first one, and any that holds words."""
    values = [row[column] for row in spec.rows]
    words = (v for v in values if isinstance(v, str) and not _LOOKS_LIKE_A_NUMBER.match(v))
    return column == 0 or any(words)


def bold(spec: TableSpec, row: int, column: int) -> bool:
    """Whether the number is alone at the top, or a difference that is distinguishable from 0."""
    value = spec.rows[row][column]
    if isinstance(value, Difference) and value.distinguishable:
        return True
    return spec.marks.get((row, column)) == "best"


def notes(spec: TableSpec, rows: Iterable[int], columns: Iterable[int]) -> list[str]:
    """What bold type and the signs mean where they occur in these rows and columns."""
    cells = list(product(rows, columns))
    values = [spec.rows[row][column] for row, column in cells]
    found = {spec.marks.get(cell) for cell in cells}
    said = ["Bold: the best of its column."] if "best" in found else []
    if any(isinstance(value, Difference) and value.distinguishable for value in values):
        said.append("Bold difference: distinguishable from 0.")
    said += [f"{TIED}: {TIED_NOTE}"] if "tied" in found else []
    return said + ([f"{SEEN}: {SEEN_NOTE}"] if spec.seen.intersection(cells) else [])


def unique(names: Iterable[str]) -> list[str]:
    """The names, where a repeated one gets the first free of -2, -3, ... in their order.

    A name that is in the list as it stands keeps it, whatever else is made of its neighbours.
    """
    names = list(names)
    taken, met, found = set(names), set[str](), []
    for name in names:
        fresh, number = name, 2
        while fresh in met or (fresh != name and fresh in taken):
            fresh, number = f"{name}-{number}", number + 1
        met.add(fresh)
        found.append(fresh)
    return found


# ------------------------------------------------------------------------------------------------
# What captions say alike, and a classifier under every corruption
# ------------------------------------------------------------------------------------------------

DRAWN = "Drawn faces are not evidence about real faces."
TRANSDUCTIVE_NOTE = (
    "(transductive): adapts, without labels, to blocks of the pictures that it is measured on, in "
    "a fixed order; verdicts depend on their neighbours, which intervals leave out."
)
SEEDS = (
    "With several training seeds, numbers are means over them with two-level bootstrap intervals "
    "over seeds and pictures; those of two seeds cover less than 95%."
)


#: Words of classifiers' names as papers write them.
_WORDS = {"emodc": "EmoDC", "amdit": "AMDiT", "base": "Base", "vit": "ViT", "sam": "SAM"}


def label(name: str) -> str:
    """A classifier's name as papers write it, such as "EmoDC (AMDiT)" for emodc_amdit.

    Names that do not begin with a known word stay as they are.
    """
    whole, space, rest = name.partition(" (")
    first, *others = whole.split("_")
    numbered = re.fullmatch(r"resnet(\d+)", first)
    if first not in ("emodc", "vit") and numbered is None:
        return name
    head = f"ResNet-{numbered[1]}" if numbered else _WORDS[first]
    said = " ".join(_WORDS.get(word, word) for word in others)
    return f"{head} ({said})" * bool(said) + head * (not said) + space + rest


def how_to_read(groups: Sequence[ResultSet]) -> list[str]:
    """What holds for every table of a report, said once: intervals, signs, checks."""
    several, drawn = any(g.several for g in groups), any(g.drawn for g in groups)
    adapted = any(name.endswith(TRANSDUCTIVE) for g in groups for name in g.names.values())
    return [
        "Intervals are 95%: Wilson's for shares, Student's for d_p, bootstraps over pictures for "
        "the rest; what all pictures agree on has none.",
        *([SEEDS] if several else []),
        "Bold: the best of its column, distinguishable from every other in paired tests (Holm); "
        f"{TIED}: {TIED_NOTE} A bold difference is distinguishable from 0.",
        f"{SEEN}: {SEEN_NOTE} Means count it like any other. {ABSENT}: not applicable or not "
        "measured.",
        "(denoiser check failed): no longer a denoiser, for its validation d_p, the error under "
        f"the right prompt, exceeds {GATE_FACTOR} times its Base's. (conditioning check failed): "
        "its prompt does not matter.",
        *([TRANSDUCTIVE_NOTE] if adapted else []),
        *([DRAWN] if drawn else []),
        "Methods: docs/statistics.md.",
    ]


def caption(what: str, where: str = "", intervals: str = "", tested: str = "") -> str:
    """The caption of any table: what is shown, n, intervals, and how much was tested.

    Args:
        what: A few words, without a full stop.
        where: Data set, n, seeds, such as `setting`.
        intervals: Such as "95% Wilson intervals".
        tested: Such as `Ranking.short`.
    """
    return " ".join(f"{part}." for part in (what, where, intervals, tested) if part)


def captioned(
    group: ResultSet,
    name: str,
    title: str,
    about: str,
    used: Sequence[Result],
    header: tuple[str, ...],
    rows: Sequence[tuple[Value, ...]],
    ranked: Mapping[str, Sequence[RankedScores | None]] | None = None,
    under: Mapping[str, str] | None = None,
    *,
    intervals: str = "",
    remarks: Sequence[str] = (),
) -> TableSpec:
    """A group's table whose caption says what the numbers rest on.

    Args:
        group: The group.
        name: Of the table, unique in the group.
        title: A few words, without the group.
        about: What the numbers are.
        used: The results behind them, at least one.
        header: Column names, (C,).
        rows: Values, each row (C,).
        ranked: By column name, what its numbers rest on, (rows,); their best are marked.
        under: By column name, the corruption that its numbers were measured under; those that a
            row's classifier met in training are marked. Rows are those of `group.names`.
        intervals: Which the numbers have.
        remarks: What is particular to these rows; empty ones are left out.
    """
    seen = seen_cells(group, {header.index(c): name for c, name in (under or {}).items()}, rows)
    ranking = rank(
        {header.index(column): own for column, own in (ranked or {}).items()},
        [str(row[0]) for row in rows],
    )
    text = caption(about, intervals=intervals, tested=ranking.short)
    file_name, full = group.file_name(name), f"{title}, {group.slug}"
    said = tuple(remark for remark in (*without_number(used), *remarks, *ranking.remarks) if remark)
    marks, where = ranking.marks, setting(group, used)
    return TableSpec(
        file_name, full, text, header, tuple(rows), marks, seen=seen, remarks=said, where=where
    )


def without_number(used: Sequence[Result]) -> list[str]:
    """A sentence for each result with pictures that its classifier gave no number for."""
    results = [r for own in used for r in own.results]
    return [
        f"{r.name}, {r.cell.condition} {r.cell.severity}: {r.outcomes.without_number} of "
        f"{r.n} pictures gave no number and count as wrong."
        for r in dict.fromkeys(results)
        if r.outcomes.without_number
    ]


def seen_cells(
    group: ResultSet, under: Mapping[int, str], rows: Sequence[tuple[Value, ...]]
) -> frozenset[tuple[int, int]]:
    """The (row, column) of numbers under a corruption that the row's classifier met in training.

    Args:
        group: The group; its classifiers are the rows.
        under: By column, the corruption.
        rows: Values, as in the table.
    """
    return frozenset(
        (row, column)
        for row, classifier in enumerate(group.names)
        for column, corruption in under.items()
        if rows[row][column] is not None and group.seen(classifier, corruption)
    )


def setting(group: ResultSet, used: Sequence[Result]) -> str:
    """What the numbers were measured on: data set, n, classes, seeds."""
    n = sizes([result.n for result in used])
    return f"Data set {group.data}, n = {n}, {len(group.classes)} classes, {seeds_text(group)}"


def seeds_text(group: ResultSet) -> str:
    """Such as "seed 0", or "training seeds 0, 1, 2, run seed 0" where that is not all."""
    if group.seeds == [group.seed]:
        return f"seed {group.seed}"
    plural = "s" if group.several else ""
    return f"training seed{plural} {', '.join(map(str, group.seeds))}, run seed {group.seed}"


def interval_name(group: ResultSet) -> str:
    """Which intervals accuracies have."""
    return "95%" if group.several else "95% Wilson"


def counts_header(group: ResultSet) -> tuple[str, ...]:
    """The columns that say how much stands behind a row."""
    return ("n", "seeds") if group.several else ("n",)


def sizes(counts: Sequence[int]) -> str:
    """Sample counts in short: "200", or "40 to 200" where they differ."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


# ------------------------------------------------------------------------------------------------
# A classifier under every corruption, on the same pictures: what means and ratios need.


@dataclass(frozen=True, eq=False)
class Swept:
    """One classifier on clean pictures and under every corruption.

    Attributes:
        name: As tables show it.
        first: Its first results; the others below are on the same samples and training seeds.
        baseline: Its results on clean pictures; None if there are none.
        entries: Its results by corruption, S severities ascending.
        why_not: By corruption that is missing in `entries`, the reason.
    """

    name: str
    first: Result
    baseline: Result | None
    entries: Mapping[str, Sequence[Result]]
    why_not: Mapping[str, str]

    @property
    def ids(self) -> NDArray[np.object_]:
        """Sample ids, (N,)."""
        return self.first.each[0].ids

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return self.first.seeds

    @property
    def clean(self) -> SampleScores | None:
        """1 where a clean picture is recognised, (k, N)."""
        return None if self.baseline is None else self.baseline.right

    @cached_property
    def under(self) -> dict[str, SampleScores]:
        """By corruption, 1 where a picture is recognised, (S, k, N)."""
        return {name: np.stack([e.right for e in own]) for name, own in self.entries.items()}

    @cached_property
    def shares(self) -> dict[str, SampleScores]:
        """By corruption, the share of severities at which a picture is recognised, (k, N)."""
        return {name: right.mean(axis=0) for name, right in self.under.items()}

    @property
    def complete(self) -> bool:
        """Whether every corruption is there."""
        return bool(self.entries) and not self.why_not

    @cached_property
    def mean(self) -> SampleScores | None:
        """Mean of `shares` over corruptions, (k, N); None unless every corruption is there."""
        return np.mean(list(self.shares.values()), axis=0) if self.complete else None


def sweeps(group: ResultSet) -> dict[str, Swept]:
    """By classifier, those that have a complete cell, clean or under a corruption."""
    each = {classifier: _swept(group, classifier) for classifier in group.names}
    return {classifier: found for classifier, found in each.items() if found is not None}


def behind(group: ResultSet) -> list[Result]:
    """The results that tables over all corruptions rest on."""
    names = [*group.perturbations("clean"), *group.perturbations("corruption")]
    return [r for name in names for c in group.names for r in group.under(c, name)]


def counts(group: ResultSet, swept: Swept) -> tuple[str, ...]:
    """Under the columns of `counts_header`."""
    n, seeds = str(len(swept.ids)), str(len(swept.seeds))
    return (n, seeds) if group.several else (n,)


def a_row_each(
    group: ResultSet,
    swept: Mapping[str, Swept],
    width: int,
    row: Callable[[Swept], Sequence[Value]],
) -> list[tuple[Value, ...]]:
    """A row per classifier of the group; of one without any result a row of None.

    Args:
        group: The group.
        swept: Its classifiers that have results.
        width: Number of columns.
        row: What stands in a row after the name and `counts`.
    """
    rows: list[tuple[Value, ...]] = []
    for classifier, name in group.names.items():
        own = swept.get(classifier)
        values = [None] * (width - 1) if own is None else [*counts(group, own), *row(own)]
        rows.append((name, *values))
    return rows


def reasons(swept: Mapping[str, Swept]) -> str:
    """For remarks: why which classifier lacks numbers, empty if none does."""
    found: dict[str, list[str]] = {}
    for own in swept.values():
        for corruption, reason in own.why_not.items():
            why = f"{corruption.replace('_', ' ')} {reason}"
            found.setdefault(why, []).append(own.name)
    said = "; ".join(f"{why}: {', '.join(who)}" for why, who in found.items())
    return f"Left out: {said}." if said else ""


def _swept(group: ResultSet, classifier: str) -> Swept | None:
    clean = group.clean(classifier)
    entries = {name: group.under(classifier, name) for name in group.perturbations("corruption")}
    first = clean or next((own[0] for own in entries.values() if own), None)
    if first is None:
        return None
    found: dict[str, Sequence[Result]] = {}
    why_not = {}
    for name, own in entries.items():
        if len(own) < len(group.severities(name)):
            why_not[name] = "lacks severities"
        elif not all(pair(first, entry) for entry in own):
            why_not[name] = "is on other pictures or training seeds"
        else:
            found[name] = own
    return Swept(group.names[classifier], first, clean, found, why_not)


def pair(one: Result, other: Result) -> bool:
    """Whether these are the same samples and training seeds."""
    return one.seeds == other.seeds and same_samples(one.each[0].ids, other.each[0].ids)
