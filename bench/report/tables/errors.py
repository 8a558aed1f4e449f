"""CE, mCE and relative mCE: errors in units of those of a named reference classifier.

D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations" (ICLR 2019), sec. 4.2; the estimators are in `bench.stats.robustness`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from bench import stats as metrics
from bench.report.outcomes import above_zero, bootstrapped_ratio, same_samples
from bench.report.results import Results, ResultSet
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.common import (
    Swept,
    a_row_each,
    behind,
    captioned,
    counts_header,
    reasons,
)
from bench.stats import SampleScores
from bench.util.errors import unknown

#: A metric's value, and the scores (k, N) that its interval rests on.
Ratio = tuple[float, SampleScores]


def errors_table(group: ResultSet, swept: Mapping[str, Swept], reference: str) -> TableSpec:
    """CE, mCE and relative mCE, in units of the errors of `reference`, a classifier of `swept`."""
    names = group.perturbations("corruption")
    shown, unit = group.names[reference], _Unit(swept[reference])
    means = (f"mCE % ({shown})", f"relative mCE % ({shown})")
    each = tuple(f"CE % {name.replace('_', ' ')}" for name in names)
    header = ("classifier", *counts_header(group), *means, *each)

    def row(own: Swept) -> list[Value]:
        ces = [unit.ce(own, corruption) for corruption in names]
        rces = [unit.relative_ce(own, corruption) for corruption in names]
        return [_shown(r, own is unit.swept) for r in (_mean(ces), _mean(rces), *ces)]

    rows = a_row_each(group, swept, len(header), row)
    about = f"Errors under corruption in percent of those of {shown}; lower is better"
    remarks = [*unit.caveats(names), reasons(swept)]
    strangers = [own.name for own in swept.values() if not same_samples(own.ids, unit.swept.ids)]
    if strangers:
        remarks.append(f"Classifiers of other pictures have no numbers: {', '.join(strangers)}.")
    title = "Corruption errors"
    under, used = dict(zip(each, names, strict=True)), behind(group)
    return captioned(
        group,
        *("corruption-errors", title, about, used, header, rows),
        under=under,
        intervals="95% bootstrap intervals",
        remarks=remarks,
    )


def reference_of(group: ResultSet, swept: Mapping[str, Swept], wanted: str | None) -> str | None:
    """The classifier whose errors are the unit: the wanted one, else the first discriminative one.

    A group without the wanted one takes its own; the table's header names it.

    Returns:
        The first of all if none is discriminative; None if nothing was measured.
    """
    if wanted in swept:
        return wanted
    manifests = {result.cell.classifier: result.manifest for result in group.results}
    plain = [c for c in swept if manifests[c].gate is None and not manifests[c].timesteps]
    return next(iter([*plain, *swept]), None)


def check_reference(results: Results, wanted: str | None) -> None:
    """Refuse a reference that is no classifier of the store.

    Raises:
        UserError: With the nearest names.
    """
    known = {name for group in results.groups for name in group.names}
    if wanted is not None and wanted not in known:
        raise unknown("classifier in this store", wanted, known)


class _Unit:
    """The reference's errors, as far as they can be told from 0 and make a unit."""

    def __init__(self, swept: Swept) -> None:
        self.swept = swept
        errors = {name: 1 - shares for name, shares in swept.shares.items()}
        self.errors = {name: own for name, own in errors.items() if above_zero(own)}
        added = _added(swept)
        self.added = {name: own for name, own in added.items() if above_zero(own)}

    def ce(self, own: Swept, corruption: str) -> Ratio | None:
        """The classifier's error under a corruption, and what its interval rests on."""
        if corruption not in self.errors or corruption not in own.entries or not self._pairs(own):
            return None
        value = metrics.corruption_error(*(_errors(s, corruption) for s in (own, self.swept)))
        scores = metrics.ratio_scores(
            1 - own.shares[corruption], self._like(own, self.errors[corruption])
        )
        return None if value is None else (value, scores)

    def relative_ce(self, own: Swept, corruption: str) -> Ratio | None:
        """The same of what the corruption adds to the clean error."""
        added = _added(own)
        if corruption not in self.added or corruption not in added or not self._pairs(own):
            return None
        one, other = (
            (_errors(s, corruption), 1 - float(s.clean.mean()))
            for s in (own, self.swept)
            if s.clean is not None
        )
        value = metrics.relative_corruption_error(*one, *other)
        scores = metrics.ratio_scores(added[corruption], self._like(own, self.added[corruption]))
        return None if value is None else (value, scores)

    def caveats(self, names: Sequence[str]) -> list[str]:
        """What is to be said of this unit."""
        said = []
        if len(self.swept.seeds) > 1:
            said.append("Other training seeds are measured in its mean over seeds.")
        known = [name for name in names if name in self.swept.entries]
        for what, units in (("error", self.errors), ("added error", self.added)):
            lost = [name.replace("_", " ") for name in known if name not in units]
            if lost:
                said.append(
                    f"{self.swept.name}'s {what} cannot be told from 0 under {', '.join(lost)}, "
                    "and is no unit."
                )
        return said

    def _pairs(self, own: Swept) -> bool:
        return same_samples(own.ids, self.swept.ids)

    def _like(self, own: Swept, scores: SampleScores) -> SampleScores:
        """Seed by seed where both have the same, else the mean over the reference's."""
        return scores if own.seeds == self.swept.seeds else scores.mean(axis=0, keepdims=True)


def _added(swept: Swept) -> dict[str, SampleScores]:
    if swept.clean is None:
        return {}
    return {name: swept.clean - shares for name, shares in swept.shares.items()}


def _errors(swept: Swept, corruption: str) -> list[float]:
    """By severity, mean over seeds."""
    return [float(error) for error in 1 - swept.under[corruption].mean(axis=(1, 2))]


def _mean(ratios: Sequence[Ratio | None]) -> Ratio | None:
    known = [ratio for ratio in ratios if ratio is not None]
    value = metrics.mean_corruption_error([None if r is None else r[0] for r in ratios])
    return None if value is None else (value, np.mean([scores for _, scores in known], axis=0))


def _shown(ratio: Ratio | None, itself: bool) -> Number | None:
    if ratio is None or itself:
        return None if ratio is None else Number(100.0, 1)
    return bootstrapped_ratio(*ratio)
