"""Tables over several attacks: the worst case, the smallest budgets, and fresh noise."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.report.evidence import about, evidence, norm_of
from bench.report.outcomes import same_samples, share
from bench.report.ranking import RankedScores
from bench.report.results import Result, ResultSet
from bench.report.spec import Number, TableSpec, Value
from bench.report.tables.common import captioned, interval_name
from bench.stats import Interval


def worst_case_table(group: ResultSet) -> TableSpec | None:
    """Right under every attack at a budget, picture by picture; None with under two attacks.

    Of each norm, the attacks that all classifiers have, so that rows compare.
    """
    columns: list[tuple[str, str, tuple[str, ...]]] = []
    for (norm, severity), names in _attacks(group).items():
        if len(names) > 1:
            columns.append((norm, severity, names))
    if not columns:
        return None
    several = len({norm for norm, _, _ in columns}) > 1
    titles = [f"{norm} eps {s}" if several else f"eps {s}" for norm, s, _ in columns]
    rows: list[tuple[Value, ...]] = []
    ranked: dict[str, list[RankedScores | None]] = {title: [] for title in titles}
    used: list[Result] = []
    for classifier, name in group.names.items():
        values: list[Value] = []
        counts: set[int] = set()
        for title, (_, severity, attacks) in zip(titles, columns, strict=True):
            each = [group.get(classifier, attack, severity) for attack in attacks]
            known = [one for one in each if one is not None]
            worst = _worst(known) if len(known) == len(attacks) else None
            values.append(None if worst is None else share(worst.values))
            found = [evidence(group, classifier, attack) for attack in attacks]
            believed = any(one is not None and one.believed for one in found)
            ranked[title].append(worst if believed else None)
            if worst is not None:
                used += known
                counts.add(len(worst.ids))
        rows.append((name, "/".join(map(str, sorted(counts))) or None, *values))
    if not used:
        return None
    named = dict.fromkeys(attack for _, _, attacks in columns for attack in attacks)
    said = f"Wrong under any of {', '.join(named)}, as far as all classifiers have them."
    return captioned(
        group,
        "worst-case",
        "Worst case over attacks",
        "Accuracy in percent: pictures that are right under every attack of the budget",
        used,
        ("classifier", "n", *titles),
        rows,
        ranked,
        intervals=f"{interval_name(group)} intervals",
        remarks=[said],
    )


def smallest_table(group: ResultSet) -> TableSpec | None:
    """The smallest measured budget at which a picture is wrong under any attack; None without."""
    by_norm: dict[str, list[str]] = defaultdict(list)
    for (norm, severity), _ in _attacks(group).items():
        by_norm[norm].append(severity)
    rows: list[tuple[Value, ...]] = []
    used: list[Result] = []
    for classifier, name in group.names.items():
        for norm, severities in by_norm.items():
            cells = _cells(group, classifier, norm)
            found = _smallest(group, classifier, cells)
            if found is None:
                continue
            used += [one for own in cells.values() for one in own]
            never = share(np.isinf(found)[None].astype(np.float64))
            spread = " to ".join(_budget(float(q)) for q in _quartiles(found))
            largest = max(severities, key=_level)
            rows.append((name, norm, str(len(found)), _median(found), spread, never, largest))
    if not used:
        return None
    header = ("classifier", "norm", "n", "median eps", "quartiles", "never wrong %", "up to")
    return captioned(
        group,
        "smallest-eps",
        "Smallest budgets",
        "Smallest measured budget in 1/255 at which a picture is wrong; 0: when clean",
        used,
        header,
        rows,
        intervals="95% intervals, of the median by order statistics",
    )


def fresh_table(group: ResultSet) -> TableSpec | None:
    """Verdicts on fresh noise: the mean of a picture's draws, and all of them; None without."""
    cells: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in group.draws:
        own = result.cell
        cells[own.classifier, own.perturbation, own.severity].append(result)
    if not cells:
        return None
    rows: list[tuple[Value, ...]] = []
    for (classifier, attack, severity), results in cells.items():
        each = [_draws(result) for result in results]
        if any(one.shape != each[0].shape for one in each):
            continue
        right = np.stack(each)  # (trainings, pictures, draws)
        how = about(results[0])
        rows.append(
            (
                group.names[classifier],
                attack if attack == "clean" else f"{attack} {severity}",
                "–" if attack == "clean" else str(how.get("eot", 1)),
                str(right.shape[1]),
                str(right.shape[2]),
                share(right.mean(axis=2)),
                share(right.min(axis=2)),
            )
        )
    header = ("classifier", "under", "EOT", "pictures", "draws", "one draw", "all draws")
    used = [result for results in cells.values() for result in results]
    return captioned(
        group,
        "fresh-noise",
        "Fresh noise at every query and verdict",
        "Accuracy in percent of verdicts (n): mean over draws of noise, and right on every draw",
        used,
        header,
        rows,
        intervals=f"{interval_name(group)} intervals over pictures",
        remarks=["Noise policy B: neither the attacker nor the verdict knows the other's noise."],
    )


def _attacks(group: ResultSet) -> dict[tuple[str, str], tuple[str, ...]]:
    """By norm and budget, the attacks that every attacked classifier has, budgets ascending."""
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for attack in group.perturbations("attack"):
        for classifier in group.names:
            for pooled in group.under(classifier, attack):
                key = norm_of(pooled), pooled.cell.severity
                found.setdefault(key, {}).setdefault(attack, set()).add(classifier)
    everyone = set().union(*(who for own in found.values() for who in own.values()), set())
    ordered = sorted(found, key=lambda key: (key[0] != "linf", _level(key[1])))
    return {k: tuple(a for a, who in found[k].items() if who == everyone) for k in ordered}


def _level(severity: str) -> float:
    numerator, _, denominator = severity.partition("/")
    return float(numerator) / float(denominator or 1)


def _worst(entries: Sequence[Result]) -> RankedScores | None:
    """Right under all; None unless all are of the same samples and trainings."""
    scores = [RankedScores(one.seeds, one.each[0].ids, one.right) for one in entries]
    first = scores[0]
    alike = all(one.seeds == first.seeds and same_samples(one.ids, first.ids) for one in scores)
    if not alike:
        return None
    return RankedScores(first.seeds, first.ids, np.min([one.values for one in scores], axis=0))


def _cells(group: ResultSet, classifier: str, norm: str) -> dict[float, list[Result]]:
    """The classifier's results by budget in 1/255, ascending."""
    found: dict[float, list[Result]] = defaultdict(list)
    for attack in group.perturbations("attack"):
        for pooled in group.under(classifier, attack):
            if norm_of(pooled) == norm:
                found[255 * pooled.cell.level].append(pooled)
    return dict(sorted(found.items()))


def _smallest(
    group: ResultSet, classifier: str, cells: dict[float, list[Result]]
) -> NDArray[np.float64] | None:
    """Of each picture, of the first training; infinite where no attack finds anything."""
    clean = group.clean(classifier)
    if not cells or clean is None:
        return None
    ids = next(iter(cells.values()))[0].each[0].ids
    each = [one for own in cells.values() for one in own]
    if not all(same_samples(one.each[0].ids, ids) for one in each):
        return None
    before = clean.each[0].among(ids)
    if not same_samples(before.ids, ids):
        return None
    found = np.full(len(ids), np.inf)
    for eps in reversed(cells):
        right = np.min([one.each[0].right for one in cells[eps]], axis=0)
        found[~right.astype(bool)] = eps
    found[~before.right] = 0.0
    return found


def _quartiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(values)
    return ordered[[int(q * (len(ordered) - 1)) for q in (0.25, 0.75)]]


def _median(values: NDArray[np.float64]) -> Value:
    """With the interval of its order statistics; text where an end is beyond what was measured."""
    ordered, n = np.sort(values), len(values)
    low, high = int(stats.binom.ppf(0.025, n, 0.5)), int(stats.binom.ppf(0.975, n, 0.5))
    ends = ordered[max(low - 1, 0)], ordered[(n - 1) // 2], ordered[min(high, n - 1)]
    if np.isinf(ends).any():
        bottom, value, top = map(_budget, map(float, ends))
        return f"{value} [{bottom}, {top}]"
    return Number(float(ends[1]), 2, Interval(float(ends[0]), float(ends[2])))


def _budget(eps: float) -> str:
    return "more" if np.isinf(eps) else f"{eps:g}"


def _draws(result: Result) -> NDArray[np.float64]:
    """1 where a draw's verdict is right, (pictures, draws)."""
    rows: dict[str, list[bool]] = defaultdict(list)
    for row, right in zip(result.outcomes.ids, result.outcomes.right, strict=True):
        rows[row.rpartition("#")[0]].append(bool(right))
    most = max(map(len, rows.values()))
    return np.array([own for own in rows.values() if len(own) == most], np.float64)
