"""The conditions that clean pictures are compared with: corruptions at their strongest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.report.groups import Group, Pooled
from bench.report.measures import share
from bench.report.outcomes import recognised, shared_samples
from bench.report.spec import Estimate

_EACH = 3  # as many corruptions have marks of their own; of more, only the mean is legible


@dataclass(frozen=True)
class Condition:
    """Clean pictures, or one or several corruptions at their highest planned severity.

    Attributes:
        name: As shown.
        cells: (perturbation, severity) of each; none for clean pictures.
    """

    name: str
    cells: tuple[tuple[str, str], ...]

    def of(self, group: Group, classifier: str) -> list[Pooled]:
        """The classifier's results, one per cell; none if one is missing."""
        if not self.cells:
            clean = group.clean(classifier)
            return [] if clean is None else [clean]
        found = [group.get(classifier, *cell) for cell in self.cells]
        known = [pooled for pooled in found if pooled is not None]
        same = len({pooled.seeds for pooled in known}) == 1
        return known if same and len(known) == len(found) else []


def conditions(group: Group) -> list[Condition]:
    """Clean, then each corruption at its strongest, or the mean of all if they are many."""
    strongest = [(p, group.severities(p)[-1]) for p in group.perturbations("corruption")]
    found = [Condition("clean", ())] if group.perturbations("clean") else []
    if len(strongest) <= _EACH:
        return found + [Condition(f"{p.replace('_', ' ')} {s}", ((p, s),)) for p, s in strongest]
    name = f"{len(strongest)} corruptions, strongest"
    return [*found, Condition(name, tuple(strongest))]


class Dot(NamedTuple):
    """An accuracy, and the number of pictures behind it."""

    accuracy: Estimate
    n: int


@dataclass(frozen=True, eq=False)
class Scores:
    """How often each picture was recognised under a condition, for the parts of a data set.

    Attributes:
        ids: (N,).
        shares: Share of the condition's corruptions under which each is recognised, (seeds, N).
    """

    ids: NDArray[np.object_]
    shares: NDArray[np.float64]

    def among(self, chosen: NDArray[np.bool_]) -> "Dot | None":
        """Accuracy on some of the pictures, a mask (N,); None if there is none.

        A picture is one trial however many corruptions it went through.
        """
        part = self.shares[:, chosen]
        return Dot(share(part), part.shape[1]) if part.size else None


def scores(results: Sequence[Pooled]) -> Scores:
    """Of a condition's results, on the samples that all have."""
    outcomes = shared_samples([r.outcomes for pooled in results for r in pooled.results])
    right = recognised(outcomes).reshape(len(results), len(results[0].seeds), -1)
    return Scores(outcomes[0].ids, right.mean(axis=0))


def mean_note(kinds: Sequence[Condition]) -> str:
    """What a mean over corruptions is, if there is one among the conditions."""
    if all(len(kind.cells) < 2 for kind in kinds):
        return ""
    return " Corruptions: mean over all at their strongest; intervals count each picture once."
