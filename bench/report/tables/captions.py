"""What captions of tables and figures say alike: n, classes, seeds, kind of interval."""

from collections.abc import Mapping, Sequence

from bench.report.groups import Group, Pooled, Result
from bench.report.ranking import Scores, rank
from bench.report.spec import TableSpec, Value

DRAWN = "Drawn faces are not evidence about real faces."
SEEDS = (
    "Numbers are means over training seeds, with intervals of a two-level bootstrap over seeds and "
    "pictures, unless said otherwise; those of two seeds cover less than 95%. A single seed has "
    "Wilson's."
)
#: Where marks of `TableSpec.seen` stand.
SEEN_IN_MEANS = "Means and ratios count corruptions that were seen in training like all others."


def captioned(
    group: Group,
    name: str,
    title: str,
    about: str,
    used: Sequence[Result | Pooled],
    header: tuple[str, ...],
    rows: Sequence[tuple[Value, ...]],
    ranked: Mapping[str, Sequence[Scores | None]] | None = None,
    under: Mapping[str, str] | None = None,
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
    """
    seen = seen_cells(group, {header.index(c): name for c, name in (under or {}).items()}, rows)
    ranking = rank(
        {header.index(column): own for column, own in (ranked or {}).items()},
        [str(row[0]) for row in rows],
    )
    parts = [about, *([ranking.note] if ranking.note else []), f"{setting(group, used)}."]
    parts += [SEEN_IN_MEANS] if seen else []
    parts += [*([SEEDS] if group.several else []), *ending([group], rows)]
    file_name, full, caption = group.file_name(name), f"{title}, {group.slug}", " ".join(parts)
    return TableSpec(file_name, full, caption, header, tuple(rows), ranking.marks, seen=seen)


def seen_cells(
    group: Group, under: Mapping[int, str], rows: Sequence[tuple[Value, ...]]
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


def ending(groups: Sequence[Group], rows: Sequence[tuple[Value, ...]]) -> list[str]:
    """The last sentences of a caption."""
    empty = any(value is None for row in rows for value in row)
    drawn = any(group.drawn for group in groups)
    return [*(["–: not applicable or not measured."] if empty else []), *([DRAWN] if drawn else [])]


def setting(group: Group, used: Sequence[Result | Pooled]) -> str:
    """What the numbers were measured on: data set, n, classes, seeds."""
    n = sizes([result.metrics.n for result in used])
    return f"Data set {group.data}, n = {n}, {len(group.classes)} classes, {seeds_text(group)}"


def seeds_text(group: Group) -> str:
    """Such as "seed 0", or "training seeds 0, 1, 2, run seed 0" where that is not all."""
    if group.seeds == [group.seed]:
        return f"seed {group.seed}"
    plural = "s" if group.several else ""
    return f"training seed{plural} {', '.join(map(str, group.seeds))}, run seed {group.seed}"


def interval_name(group: Group) -> str:
    """Which intervals accuracies have."""
    return "95%" if group.several else "95% Wilson"


def bootstrap_name(group: Group) -> str:
    """Which intervals other numbers have."""
    seeds = " and training seeds" if group.several else ""
    return f"95% bootstraps over pictures{seeds}"


def counts_header(group: Group) -> tuple[str, ...]:
    """The columns that say how much stands behind a row."""
    return ("n", "seeds") if group.several else ("n",)


def sizes(counts: Sequence[int]) -> str:
    """Sample counts in short: "200", or "40 to 200" where they differ."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
