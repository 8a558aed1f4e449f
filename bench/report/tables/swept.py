"""A classifier under every corruption, on the same pictures: what means and ratios need."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.bootstrap import two_level
from bench.report.groups import Group, Pooled
from bench.report.spec import Estimate
from bench.stats import wilson

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Swept:
    """One classifier's outcomes on clean pictures and under every corruption.

    Attributes:
        name: As tables show it.
        ids: Sample ids, (N,), the same in all that follows.
        seeds: Of training, k, likewise.
        clean: 1 where a clean picture is recognised, (k, N); None if that was not measured.
        under: The same by corruption and severity ascending, (S, k, N).
        why_not: By corruption that is missing in `under`, the reason.
    """

    name: str
    ids: NDArray[np.object_]
    seeds: tuple[int, ...]
    clean: Scores | None
    under: Mapping[str, Scores]
    why_not: Mapping[str, str]

    @cached_property
    def shares(self) -> dict[str, Scores]:
        """By corruption, the share of severities at which a picture is recognised, (k, N)."""
        return {name: right.mean(axis=0) for name, right in self.under.items()}

    @cached_property
    def mean(self) -> Scores | None:
        """Mean of `shares` over corruptions, (k, N); None unless every corruption is there."""
        complete = self.under and not self.why_not
        return np.mean(list(self.shares.values()), axis=0) if complete else None


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


def reasons(swept: Mapping[str, Swept]) -> str:
    """For captions: why which classifier lacks numbers, empty if none does."""
    found: dict[str, list[str]] = {}
    for own in swept.values():
        for corruption, reason in own.why_not.items():
            why = f"{corruption.replace('_', ' ')} {reason}"
            found.setdefault(why, []).append(own.name)
    said = "; ".join(f"{why}: {', '.join(who)}" for why, who in found.items())
    return f" Left out: {said}." if said else ""


def share(scores: Scores) -> Estimate:
    """Mean of scores in [0, 1], (k, N), with the interval that accuracies have.

    Wilson's for one training, conservative for scores between 0 and 1; else the two-level one.
    """
    value, n = float(scores.mean()), scores.shape[1]
    if len(scores) == 1:
        return Estimate(value, wilson(min(value * n, n), n))
    return Estimate(value, two_level(scores, bounds=(0, 1)))


def _swept(group: Group, classifier: str) -> Swept | None:
    clean = group.clean(classifier)
    entries = {name: group.under(classifier, name) for name in group.perturbations("corruption")}
    first = clean or next((own[0] for own in entries.values() if own), None)
    if first is None:
        return None
    under, why_not = {}, {}
    for name, own in entries.items():
        if len(own) < len(group.severities(name)):
            why_not[name] = "lacks severities"
        elif not all(_pair(first, entry) for entry in own):
            why_not[name] = "is on other pictures or training seeds"
        else:
            under[name] = np.stack([entry.right for entry in own])
    ids, right = first.outcomes[0].ids, None if clean is None else clean.right
    return Swept(group.names[classifier], ids, first.seeds, right, under, why_not)


def _pair(one: Pooled, other: Pooled) -> bool:
    return one.seeds == other.seeds and same(one.outcomes[0].ids, other.outcomes[0].ids)


def same(ids: NDArray[np.object_], others: NDArray[np.object_]) -> bool:
    """Whether these are the same samples."""
    return ids is others or np.array_equal(ids, others)
