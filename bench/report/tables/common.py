"""What captions of tables and figures say alike: n, classes, seeds, kind of interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.report.outcomes import same_samples
from bench.report.ranking import RankedScores, rank
from bench.report.results import Result, ResultSet
from bench.report.spec import ABSENT, SEEN, SEEN_NOTE, TIED, TIED_NOTE, TableSpec, Value
from bench.stats import SampleScores
from bench.store.checkpoints import GATE_FACTOR

DRAWN = "Drawn faces are not evidence about real faces."
SEEDS = (
    "With several training seeds, numbers are means over them with two-level bootstrap intervals "
    "over seeds and pictures; those of two seeds cover less than 95%."
)


def how_to_read(groups: Sequence[ResultSet]) -> list[str]:
    """What holds for every table of a report, said once: intervals, signs, checks."""
    several, drawn = any(g.several for g in groups), any(g.drawn for g in groups)
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
    text = caption(about, setting(group, used), intervals, ranking.short)
    file_name, full = group.file_name(name), f"{title}, {group.slug}"
    said = tuple(remark for remark in (*without_number(used), *remarks, *ranking.remarks) if remark)
    return TableSpec(
        file_name, full, text, header, tuple(rows), ranking.marks, seen=seen, remarks=said
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
    """Under the columns of `captions.counts_header`."""
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
