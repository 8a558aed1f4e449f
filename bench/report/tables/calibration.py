"""Whether confidences can be believed, on clean pictures and at the strongest severity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from math import ceil, inf
from statistics import fmean

import numpy as np

from bench import metrics
from bench.metrics import Forecasts, Scores
from bench.report.groups import Group, Pooled
from bench.report.outcomes import Outcomes, shared_samples
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.captions import bootstrap_name, captioned, counts_header
from bench.report.tables.numbers import ALIKE, bootstrapped
from bench.report.tables.swept import Swept, reasons
from bench.stats import Interval, wilson

COVERAGE = 0.8

Conditions = list[list[Forecasts]]  # by condition and training seed


def calibration_table(group: Group, swept: Mapping[str, Swept]) -> TableSpec:
    """Two rows per classifier: clean pictures, and each corruption's strongest severity."""
    answered = f"accuracy % at {100 * COVERAGE:.0f}% coverage"
    columns = ("NLL", "Brier", "AURC", answered, "ECE", "adaptive ECE")
    header = ("classifier", "pictures", *counts_header(group), *columns)
    rows: list[tuple[Value, ...]] = []
    used: list[Pooled] = []
    excluded: list[str] = []
    for own in swept.values():
        for pictures, entries in _conditions(own):
            used += entries
            kept, left_out = with_logits(entries)
            if left_out:
                excluded.append(f"{own.name} {left_out} of {len(own.ids)} ({pictures})")
            n, seeds = str(len(own.ids) - left_out), str(len(own.seeds))
            sizes = (n, seeds) if group.several else (n,)
            rows.append((own.name, pictures, *sizes, *_values(kept)))
    about = (
        "Softmax probabilities of the logits against what came true. NLL: negative log-likelihood "
        "in nats. Brier: summed over classes, 0 to 2. AURC: mean error over all coverages. "
        f"Accuracy of the {100 * COVERAGE:.0f}% most confident pictures, at the threshold that "
        "makes them so. ECE: 15 bins of equal width; adaptive ECE: of equal mass. For all but "
        f"accuracy lower is better. Intervals are {bootstrap_name(group)}; the binned errors "
        "have none, for they are biased upwards and a bootstrap would add to the bias. "
        f"{ALIKE}{_about_corrupted(swept)}{_about_emodc(group, swept)}{reasons(swept)}"
    )
    if excluded:
        about += f" Pictures without finite logits are left out: {', '.join(excluded)}."
    return captioned(group, "calibration", "Calibration", about, used, header, rows)


def _conditions(own: Swept) -> list[tuple[str, list[Pooled]]]:
    found = [] if own.baseline is None else [("clean", [own.baseline])]
    if own.complete:
        found.append(("strongest severity", [entries[-1] for entries in own.entries.values()]))
    return found


def _about_corrupted(swept: Mapping[str, Swept]) -> str:
    if not any(own.complete for own in swept.values()):
        return ""
    return " Strongest severity: means over corruptions, each at its strongest."


def _about_emodc(group: Group, swept: Mapping[str, Swept]) -> str:
    traced = {r.cell.classifier for r in group.results if r.manifest.timesteps}
    if not traced & swept.keys():
        return ""
    return (
        " EmoDC's logits are negative mean errors over a temperature, which was not fitted: "
        "another one would change these numbers, and not its decisions."
    )


def with_logits(entries: Sequence[Pooled]) -> tuple[list[list[Outcomes]], int]:
    """What confidences are measured on.

    Args:
        entries: A classifier's results, one per condition, at least one.

    Returns:
        By condition and training seed, the samples that all have, and whose logits are finite in
        all; and the number of those whose logits are not.
    """
    each = shared_samples([o for entry in entries for o in entry.outcomes])
    finite = np.logical_and.reduce([np.isfinite(o.logits).all(axis=1) for o in each])
    kept = iter([o.at(finite) for o in each])
    return [list(islice(kept, len(entry.outcomes))) for entry in entries], int((~finite).sum())


def _values(kept: Sequence[Sequence[Outcomes]]) -> tuple[Value, ...]:
    """In the order of the table's columns, means over conditions and seeds."""
    if not len(kept[0][0]):
        return (None,) * 6
    found = [[metrics.forecasts(o.logits, o.labels) for o in seeds] for seeds in kept]
    return (
        _number(found, metrics.nll_scores, inf),
        _number(found, metrics.brier_scores, 2),
        _number(found, metrics.aurc_scores, 1),
        _selective(found),
        *(Number(_mean(found, error), 3) for error in (metrics.ece, metrics.adaptive_ece)),
    )


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
    scores: Callable[[Forecasts], Scores],
    highest: float,
    digits: int = 3,
    factor: float = 1,
) -> Number:
    each = [np.stack([scores(one) for one in seeds]) for seeds in found]
    mean = np.mean(each, axis=0)
    return bootstrapped(float(mean.mean()), mean, (0, highest), digits, factor)


def _mean(found: Conditions, metric: Callable[[Forecasts], float]) -> float:
    return fmean(metric(one) for seeds in found for one in seeds)
