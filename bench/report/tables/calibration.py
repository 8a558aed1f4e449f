"""Confidences: what calibrates them, whether they can be believed, and who errs alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import ceil, inf
from statistics import fmean

import numpy as np

from bench import stats as metrics
from bench.report.outcomes import Number, Outcomes, bootstrapped, shared_samples
from bench.report.results import Result, ResultSet
from bench.report.spec import (
    Swept,
    TableSpec,
    Value,
    captioned,
    counts,
    counts_header,
    pair,
    reasons,
    sizes,
)
from bench.stats import Forecasts, Interval, SampleScores, wilson
from emodc.decisions.fit import temperature

# ------------------------------------------------------------------------------------------------
# Logits as confidences: those that are numbers, and the factors that calibrate them
# ------------------------------------------------------------------------------------------------


def finite(several: Sequence[Outcomes]) -> tuple[list[Outcomes], int]:
    """What confidences are measured on.

    Returns:
        The samples that all have, and whose logits are finite in all; and the number of those whose
        logits are not.
    """
    each = shared_samples(several)
    kept = np.logical_and.reduce([np.isfinite(o.logits).all(axis=1) for o in each])
    return [o.at(kept) for o in each], int((~kept).sum())


def with_logits(entries: Sequence[Result]) -> tuple[list[list[Outcomes]], int]:
    """`finite` of a classifier's results, one per condition, at least one.

    Returns:
        Outcomes by condition and training seed, and how many samples were left out.
    """
    each, left_out = finite([o for entry in entries for o in entry.each])
    kept = iter(each)
    return [list(islice(kept, len(entry.each))) for entry in entries], left_out


@dataclass(frozen=True, eq=False)
class Factors:
    """What a classifier's logits are to be multiplied by, fitted on validation pictures.

    Attributes:
        each: By training seed, k.
        scores: Whose mean is that of the factors, (k, N).
        held: Whether one is at the limit that the number of pictures sets.
    """

    each: tuple[float, ...]
    scores: SampleScores
    held: bool

    @property
    def n(self) -> int:
        """Number of validation pictures."""
        return self.scores.shape[1]

    @property
    def number(self) -> Number:
        """The mean over seeds; a factor at its limit does not vary as its scores say."""
        mean = float(np.mean(self.each))
        return Number(mean, 2) if self.held else bootstrapped(mean, self.scores, (0, inf), 2, 1)


def factors_of(group: ResultSet, classifier: str, seeds: Sequence[int]) -> Factors | None:
    """The factors of least NLL on the validation split (`emodc.decisions.fit.temperature`).

    Args:
        group: The group.
        classifier: One of its classifiers.
        seeds: Training seeds; each has a factor of its own.

    Returns:
        None if a seed has no result on validation pictures, or none that can be fitted.
    """
    own = {r.cell.seed: r.outcomes for r in group.validation if r.cell.classifier == classifier}
    if not set(seeds) <= own.keys():
        return None
    kept, _ = finite([own[seed] for seed in seeds])
    try:
        each = tuple(temperature(-o.logits[:, :, None], o.labels) for o in kept)
    except ValueError:
        return None
    pairs = list(zip(kept, each, strict=True))
    scores = np.stack([metrics.scale_scores(o.logits, o.labels, factor) for o, factor in pairs])
    held = not np.allclose(scores.mean(axis=1), each, rtol=1e-3)
    return Factors(each, scores, held)


def forecasts_of(outcomes: Sequence[Outcomes], factors: Factors | None = None) -> list[Forecasts]:
    """Probabilities by training seed; calibrated ones with `factors` of the same seeds."""
    each = [1.0] * len(outcomes) if factors is None else factors.each
    return [
        metrics.forecasts(factor * o.logits.astype(np.float64), o.labels)
        for o, factor in zip(outcomes, each, strict=True)
    ]


def pooled(several: Sequence[Forecasts]) -> Forecasts:
    """All as one."""
    columns = ("log_probabilities", "labels", "confidence", "right")
    joined = {name: np.concatenate([getattr(one, name) for one in several]) for name in columns}
    return Forecasts(**joined, excluded=sum(one.excluded for one in several))


# ------------------------------------------------------------------------------------------------
# Whether confidences can be believed; who errs on the same pictures
# ------------------------------------------------------------------------------------------------


def consistency_tables(group: ResultSet, swept: Mapping[str, Swept]) -> list[TableSpec]:
    """On clean pictures, and at the strongest severity; where there are two classifiers or more."""
    clean = {c: [own.baseline] for c, own in swept.items() if own.baseline is not None}
    complete = {c: own.entries.values() for c, own in swept.items() if own.complete}
    strongest = {c: [entries[-1] for entries in each] for c, each in complete.items()}
    found = []
    if len(clean) > 1:
        title, where = "Error consistency, clean", "on clean pictures"
        found.append(_table(group, swept, clean, "consistency", title, where))
    if len(strongest) > 1:
        title = "Error consistency, strongest severity"
        where = "at the strongest severity, mean over corruptions"
        found.append(_table(group, swept, strongest, "consistency-strongest", title, where))
    return found


def _table(
    group: ResultSet,
    swept: Mapping[str, Swept],
    entries: Mapping[str, Sequence[Result]],
    name: str,
    title: str,
    where: str,
) -> TableSpec:
    """The lower triangle: a row per classifier but the first, a column per one but the last."""
    known = list(entries)
    header = ("classifier", *counts_header(group), *(group.names[c] for c in known[:-1]))
    rows: list[tuple[Value, ...]] = []
    for i, classifier in enumerate(known[1:], start=1):
        found = [kappa(entries[classifier], entries[other]) for other in known[:i]]
        empty = ("",) * (len(known) - 1 - i)
        own = swept[classifier]
        rows.append((group.names[classifier], *counts(group, own), *found, *empty))
    used = [entry for own in entries.values() for entry in own]
    about = f"Error consistency (Cohen's kappa) of pairs of classifiers {where}"
    return captioned(
        group, name, title, about, used, header, rows, intervals="95% bootstrap intervals"
    )


def kappa(first: Sequence[Result], second: Sequence[Result]) -> Number | None:
    """Error consistency, mean over conditions and training seeds, with its two-level interval.

    Args:
        first: A classifier's results under each condition, at least one.
        second: The other's under the same conditions.

    Returns:
        None if they do not share pictures and seeds, or one of the kappas has no value.
    """
    values: list[float] = []
    scores: list[SampleScores] = []
    for one, other in zip(first, second, strict=True):
        if not pair(one, other):
            return None
        for a, b in zip(one.right, other.right, strict=True):
            value = metrics.error_consistency(a, b)
            if value is None:
                return None
            values.append(value)
        scores.append(metrics.kappa_scores(one.right, other.right))
    return bootstrapped(fmean(values), np.mean(scores, axis=0), (-1, 1), digits=2, factor=1)


# ------------------------------------------------------------------------------------------------
# Whether confidences can be believed, on clean pictures and at the strongest severity.
#
# As they are, and calibrated on the validation split.


COVERAGE = 0.8

Conditions = list[list[Forecasts]]  # by condition and training seed


def calibration_table(group: ResultSet, swept: Mapping[str, Swept]) -> TableSpec:
    """Per classifier clean pictures and each corruption's strongest severity, and both calibrated.

    Of classifiers without results on validation pictures there are only the first two.
    """
    answered = f"accuracy % at {100 * COVERAGE:.0f}% coverage"
    columns = ("NLL", "Brier", "AURC", answered, "ECE", "adaptive ECE")
    header = ("classifier", "pictures", *counts_header(group), *columns)
    fitted = {c: factors_of(group, c, own.seeds) for c, own in swept.items()}
    if any(fitted.values()):
        header += ("factor on logits", "ECE ratio")
    rows: list[tuple[Value, ...]] = []
    used: list[Result] = []
    excluded: list[str] = []
    for classifier, own in swept.items():
        for pictures, entries in _conditions(own):
            used += entries
            kept, left_out = with_logits(entries)
            if left_out:
                excluded.append(f"{own.name} {left_out} of {len(own.ids)} ({pictures})")
            n, seeds = str(len(own.ids) - left_out), str(len(own.seeds))
            counts = (n, seeds) if group.several else (n,)
            for suffix, values in _versions(kept, fitted[classifier]):
                row = (own.name, pictures + suffix, *counts, *values)
                rows.append(row[: len(header)])
    remarks = [*_remarks(group, swept, fitted), reasons(swept)]
    if excluded:
        remarks.append(f"Pictures without finite logits are left out: {', '.join(excluded)}.")
    return captioned(
        group,
        *("calibration", "Calibration", _ABOUT, used, header, rows),
        intervals="95% bootstrap intervals; none of binned errors (ECE)",
        remarks=remarks,
    )


def _versions(
    kept: Sequence[Sequence[Outcomes]], factors: Factors | None
) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """Logits as they are, and calibrated: what the name of a row gets, and its values."""
    plain = [forecasts_of(seeds) for seeds in kept]
    yield "", (*_values(plain), None, None)
    if factors is not None:
        found = [forecasts_of(seeds, factors) for seeds in kept]
        yield ", calibrated", (*_values(found), factors.number, _ratio(plain, found))


def _conditions(own: Swept) -> list[tuple[str, list[Result]]]:
    found = [] if own.baseline is None else [("clean", [own.baseline])]
    if own.complete:
        found.append(("strongest severity", [entries[-1] for entries in own.entries.values()]))
    return found


_ABOUT = "Confidences against what came true; lower is better in all columns but accuracy"


def _remarks(
    group: ResultSet, swept: Mapping[str, Swept], fitted: Mapping[str, Factors | None]
) -> Iterator[str]:
    """What factors were fitted on, and which were not."""
    known = [factors for factors in fitted.values() if factors is not None]
    if not known:
        return
    each = " of each training" if group.several else ""
    yield (
        f"Calibrated: factor fitted for the least NLL of {sizes([f.n for f in known])} clean "
        f"pictures of the validation split{each}."
    )
    if any(factors.held for factors in known):
        yield ("A factor held at the confidence that so many pictures can show has no interval.")
    lacking = [swept[classifier].name for classifier, factors in fitted.items() if factors is None]
    if lacking:
        yield f"Without results on validation pictures to fit: {', '.join(lacking)}."


def _values(found: Conditions) -> tuple[Value, ...]:
    """In the order of the table's columns, means over conditions and seeds."""
    if not len(found[0][0].labels):
        return (None,) * 6
    return (
        _number(found, metrics.nll_scores, inf),
        _number(found, metrics.brier_scores, 2),
        _number(found, metrics.aurc_scores, 1),
        _selective(found),
        *(Number(_mean(found, error), 3) for error in (metrics.ece, metrics.adaptive_ece)),
    )


def _ratio(before: Conditions, after: Conditions) -> Number | None:
    """ECE after calibration in units of that before."""
    known = len(before[0][0].labels) and (error := _mean(before, metrics.ece))
    return Number(_mean(after, metrics.ece) / error, 2) if known else None


def _selective(found: Conditions) -> Number:
    """In percent; where all answers agree with Wilson's interval over those answered."""
    number = _number(
        found, partial(metrics.selective_scores, coverage=COVERAGE), 1, digits=1, factor=100
    )
    if number.interval is not None:
        return number
    answered = ceil(COVERAGE * len(found[0][0].labels))
    own = wilson(min(max(number.value / 100, 0.0), 1.0) * answered, answered)
    return replace(number, interval=Interval(100 * own.low, 100 * own.high))


def _number(
    found: Conditions,
    scores: Callable[[Forecasts], SampleScores],
    highest: float,
    digits: int = 3,
    factor: float = 1,
) -> Number:
    each = [np.stack([scores(one) for one in seeds]) for seeds in found]
    mean = np.mean(each, axis=0)
    return bootstrapped(float(mean.mean()), mean, (0, highest), digits, factor)


def _mean(found: Conditions, metric: Callable[[Forecasts], float]) -> float:
    return fmean(metric(one) for seeds in found for one in seeds)
