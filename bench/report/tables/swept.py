"""A classifier under every corruption, on the same pictures: what means and ratios need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.metrics import Scores
from bench.report.groups import Group, Pooled
from bench.report.outcomes import same_samples
from bench.report.spec import Value


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
    first: Pooled
    baseline: Pooled | None
    entries: Mapping[str, Sequence[Pooled]]
    why_not: Mapping[str, str]

    @property
    def ids(self) -> NDArray[np.object_]:
        """Sample ids, (N,)."""
        return self.first.outcomes[0].ids

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of training, k."""
        return self.first.seeds

    @property
    def clean(self) -> Scores | None:
        """1 where a clean picture is recognised, (k, N)."""
        return None if self.baseline is None else self.baseline.right

    @cached_property
    def under(self) -> dict[str, Scores]:
        """By corruption, 1 where a picture is recognised, (S, k, N)."""
        return {name: np.stack([e.right for e in own]) for name, own in self.entries.items()}

    @cached_property
    def shares(self) -> dict[str, Scores]:
        """By corruption, the share of severities at which a picture is recognised, (k, N)."""
        return {name: right.mean(axis=0) for name, right in self.under.items()}

    @property
    def complete(self) -> bool:
        """Whether every corruption is there."""
        return bool(self.entries) and not self.why_not

    @cached_property
    def mean(self) -> Scores | None:
        """Mean of `shares` over corruptions, (k, N); None unless every corruption is there."""
        return np.mean(list(self.shares.values()), axis=0) if self.complete else None


def sweeps(group: Group) -> dict[str, Swept]:
    """By classifier, those that have a complete cell, clean or under a corruption."""
    each = {classifier: _swept(group, classifier) for classifier in group.names}
    return {classifier: found for classifier, found in each.items() if found is not None}


def behind(group: Group) -> list[Pooled]:
    """The results that tables over all corruptions rest on."""
    names = [*group.perturbations("clean"), *group.perturbations("corruption")]
    return [r for name in names for c in group.names for r in group.under(c, name)]


def counts(group: Group, swept: Swept) -> tuple[str, ...]:
    """Under the columns of `captions.counts_header`."""
    n, seeds = str(len(swept.ids)), str(len(swept.seeds))
    return (n, seeds) if group.several else (n,)


def a_row_each(
    group: Group, swept: Mapping[str, Swept], width: int, row: Callable[[Swept], Sequence[Value]]
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
    """For captions: why which classifier lacks numbers, empty if none does."""
    found: dict[str, list[str]] = {}
    for own in swept.values():
        for corruption, reason in own.why_not.items():
            why = f"{corruption.replace('_', ' ')} {reason}"
            found.setdefault(why, []).append(own.name)
    said = "; ".join(f"{why}: {', '.join(who)}" for why, who in found.items())
    return f" Left out: {said}." if said else ""


def _swept(group: Group, classifier: str) -> Swept | None:
    clean = group.clean(classifier)
    entries = {name: group.under(classifier, name) for name in group.perturbations("corruption")}
    first = clean or next((own[0] for own in entries.values() if own), None)
    if first is None:
        return None
    found: dict[str, Sequence[Pooled]] = {}
    why_not = {}
    for name, own in entries.items():
        if len(own) < len(group.severities(name)):
            why_not[name] = "lacks severities"
        elif not all(pair(first, entry) for entry in own):
            why_not[name] = "is on other pictures or training seeds"
        else:
            found[name] = own
    return Swept(group.names[classifier], first, clean, found, why_not)


def pair(one: Pooled, other: Pooled) -> bool:
    """Whether these are the same samples and training seeds."""
    return one.seeds == other.seeds and same_samples(one.outcomes[0].ids, other.outcomes[0].ids)
