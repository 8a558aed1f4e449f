"""Attacks: can an accuracy under one be believed? Worst cases, smallest budgets, examples.

An attack that fails says nothing of the classifier. Each check is named, and computed from what is
stored: rows of this attack and of others at the same budget, and what was seen while attacking.

A: every check was made and passed. B: none failed, but some could not be made. C: a check failed.
D: the attack was blind, or the verdict is not what it attacked: the number is no evidence.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from bench.data.images import UnreadablePicture
from bench.perturb.attacks.base import unpacked_change, visible
from bench.perturb.certified import radius
from bench.report.outcomes import Number, same_samples, share, shared_samples
from bench.report.ranking import RankedScores
from bench.report.results import Result, ResultSet, pool
from bench.report.spec import TableSpec, Value, captioned, counts_header, interval_name
from bench.report.tables.diagnostics import showable
from bench.stats import Interval
from bench.store.store import Store
from bench.util.errors import UserError

# ------------------------------------------------------------------------------------------------
# How much an accuracy under attack can be believed: checks of the attack, and a grade
# ------------------------------------------------------------------------------------------------

Grade = Literal["A", "B", "C", "D"]

#: Points in accuracy by which another attack may be stronger, as a fraction.
SLACK = 0.02
_BLIND = 0.05  # share of pictures whose gradient may be zero at every query
_STUCK = 0.10  # share of pictures whose loss may not rise
_NEAR_CHANCE = 0.05  # accuracy above it, as a fraction
_UNDONE = 0.05  # accuracy by which fresh noise may exceed the known bank, as a fraction
_LARGE = 8.0  # a budget in 1/255 at which an undefended classifier is at chance

_FATAL = {"finite", "gradient", "same verdict"}
_NOT_WHITE = {"square", "rays", "random_noise", "transfer"}


@dataclass(frozen=True)
class Evidence:
    """What the checks of an attack on a classifier found.

    Attributes:
        failed: By the name of each check that failed, what was found.
        open: Names of the checks that could not be made.
    """

    failed: Mapping[str, str]
    open: tuple[str, ...] = ()

    @property
    def grade(self) -> Grade:
        """See the module."""
        if _FATAL.intersection(self.failed):
            return "D"
        return "C" if self.failed else "B" if self.open else "A"

    @property
    def believed(self) -> bool:
        """Whether a number may be bold."""
        return self.grade in ("A", "B")

    def __str__(self) -> str:
        """Such as "B", or "C (steps)"."""
        return f"{self.grade} ({', '.join(self.failed)})" if self.failed else self.grade


def about(result: Result) -> dict[str, Any]:
    """The parameters of what was done to the pictures."""
    found: dict[str, Any] = result.manifest.inputs.get("perturbation", {})
    return found


def norm_of(result: Result) -> str:
    """The norm of an attack's budget."""
    return str(about(result).get("norm", "linf"))


def evidence(group: ResultSet, classifier: str, attack: str) -> Evidence | None:
    """Judge an attack on a classifier; None without results, and where it is not to be fooled."""
    cells = group.under(classifier, attack)
    if not cells or about(cells[0]).get("kind") in ("random_noise", "slow_down", "mislead"):
        return None
    failed: dict[str, str] = {}
    left: list[str] = []
    for name, verdict in (
        *_of_seen(cells),
        *_of_others(group, classifier, attack, cells),
        ("chance", _chance(group, cells)),
        ("fresh noise", _fresh(group, classifier, cells)),
    ):
        if verdict is None:
            left.append(name)
        elif verdict:
            failed.setdefault(name, verdict)
    return Evidence(failed, tuple(dict.fromkeys(n for n in left if n not in failed)))


def warnings(group: ResultSet, attacks: Sequence[str] | None = None) -> list[str]:
    """A sentence for each of the attacks (all, if none are named) with numbers of no evidence.

    Such as "fgsm is weak evidence of robustness (grade C): net: pgd is stronger by 8.2 points."
    """
    found: dict[tuple[str, Grade], list[str]] = {}
    for attack in group.perturbations("attack") if attacks is None else attacks:
        for classifier, name in group.names.items():
            own = evidence(group, classifier, attack)
            if own is not None and not own.believed:
                said = f"{name}: {', '.join(own.failed.values())}"
                found.setdefault((attack, own.grade), []).append(said)
    worth: dict[Grade, str] = {"C": "weak evidence", "D": "no evidence"}
    return [
        f"{attack} is {worth[grade]} of robustness (grade {grade}): {'; '.join(who)}."
        for (attack, grade), who in found.items()
    ]


_Verdict = str | None
"""What was found if a check failed, "" if it passed, None if it could not be made."""


def _of_seen(cells: Sequence[Result]) -> Iterator[tuple[str, _Verdict]]:
    """Checks of what was seen while attacking."""
    results = [result for pooled in cells for result in pooled.results]
    if not all(result.manifest.deterministic for result in results):
        yield "same verdict", "it gives two answers to one picture"
    seen = [(result, result.seen) for result in results if result.seen is not None]
    if len(seen) < len(results):
        yield from ((name, None) for name in ("finite", "gradient", "loss", "same verdict"))
        return
    frames = [frame for _, frame in seen]
    every = pd.concat(frames, ignore_index=True)
    unknown = [r.outcomes.without_number for r in results]
    broken = max(float((every["broken"] > 0).mean()), sum(unknown) / max(len(every), 1))
    yield "finite", f"NaN or infinite for {_percent(broken)} of pictures" if broken else ""
    asked = every[every["gradients"] > 0]
    blind = float((asked["zero"] == asked["gradients"]).mean()) if len(asked) else 0.0
    yield "gradient", f"no gradient on {_percent(blind)} of pictures" if blind > _BLIND else ""
    stuck = float((~every["believed"].astype(bool) & ~(every["rise"] > 0)).mean())
    yield "loss", f"the loss does not rise on {_percent(stuck)}" if stuck > _STUCK else ""
    if about(cells[0]).get("kind") == "transfer":
        return  # what was seen is the source's; its verdicts are not this classifier's
    differing = np.concatenate([frame["believed"] == r.outcomes.right for r, frame in seen])
    other = float(differing.mean())
    apart = other > SLACK and int(differing.sum()) > 1
    text = f"the verdict differs from what the attack saw on {_percent(other)}"
    yield "same verdict", text if apart else ""
    for result, frame in seen:
        yield "steps", _late(result, frame)


def _late(result: Result, frame: pd.DataFrame) -> str:
    """Whether the second half of an attack still finds more than `SLACK`."""
    half = float(frame["forwards"].max()) / 2
    late = float((frame["first_hit"] > max(half, 1)).mean())
    right = float(result.outcomes.right.mean())
    found = late > SLACK and right > SLACK and int(frame["forwards"].max()) > 3
    return f"its second half finds {_percent(late)} more at {result.cell.severity}" if found else ""


def _of_others(
    group: ResultSet, classifier: str, attack: str, cells: Sequence[Result]
) -> Iterator[tuple[str, _Verdict]]:
    """Checks against other attacks at the same budget in the same norm."""
    white = about(cells[0]).get("kind") not in _NOT_WHITE
    made = dict.fromkeys(("noise", "black box") if white else ("noise",), False)
    for other in group.perturbations("attack"):
        for own in cells:
            rival = group.get(classifier, other, own.cell.severity)
            if other == attack or rival is None or norm_of(rival) != norm_of(own):
                continue
            kind = about(rival).get("kind")
            name = "noise" if kind == "random_noise" else "steps"
            name = "black box" if white and kind in _NOT_WHITE - {"random_noise"} else name
            made[name] = True
            yield name, _stronger(own, rival, other)
    yield from ((name, None) for name, was in made.items() if not was)


def _stronger(own: Result, rival: Result, name: str) -> str:
    by = own.accuracy.value - rival.accuracy.value
    if by > SLACK and by * own.n > 1.5:
        severity = own.cell.severity
        return f"{name} is stronger by {100 * by:.1f} points at {severity}"
    return ""


def _chance(group: ResultSet, cells: Sequence[Result]) -> _Verdict:
    """Whether accuracy comes down to chance at the largest budget."""
    last = cells[-1]
    labels = last.each[0].labels
    chance = float(np.bincount(labels).max() / len(labels))
    accuracy = last.accuracy
    if accuracy.interval.low <= chance + _NEAR_CHANCE:
        return ""
    level = last.cell.level * (255 if "/" in last.cell.severity else 1)
    if norm_of(last) != "linf" or level < _LARGE:
        return None
    return f"still {accuracy.number} % at {last.cell.severity}"


def _fresh(group: ResultSet, classifier: str, cells: Sequence[Result]) -> _Verdict:
    """Whether noise that the attack did not know undoes it; of classifiers with noise."""
    if not cells[0].manifest.timesteps:
        return ""
    verdict: _Verdict = None
    for drawn in group.draws:
        for own in cells:
            alike = _same_attack(about(drawn), about(own))
            where = (classifier, own.cell.severity)
            if not alike or (drawn.cell.classifier, drawn.cell.severity) != where:
                continue
            gained = float(drawn.outcomes.right.mean()) - own.accuracy.value
            if gained > _UNDONE:
                return f"fresh noise undoes {100 * gained:.1f} points at {drawn.cell.severity}"
            verdict = ""
    return verdict


def _same_attack(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether they differ in nothing but their names and the noise."""
    left_out = ("name", "severity", "noise", "draws", "eot")
    both = [{k: v for k, v in each.items() if k not in left_out} for each in (one, other)]
    return both[0] == both[1]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# ------------------------------------------------------------------------------------------------
# Tables over attacks
# ------------------------------------------------------------------------------------------------


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
    values = np.min([one.values for one in scores], axis=0)
    return RankedScores(first.seeds, first.ids, values, attacked=True)


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


# ------------------------------------------------------------------------------------------------
# Certificates by randomised smoothing: right, and so under every change of a length
# ------------------------------------------------------------------------------------------------


#: L2 lengths on [0, 1], as columns of the table.
_RADII = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def certified_table(group: ResultSet) -> TableSpec | None:
    """A row per classifier and sigma, a column per radius; None without certificates."""
    cells = pooled_certificates(group)
    if not cells:
        return None
    radii = [length for length in _RADII if length < max(map(farthest, cells))]
    rows: list[tuple[Value, ...]] = []
    for own in cells:
        right, lengths = certificates(own)
        counts = [str(own.n), *([str(len(own.seeds))] if group.several else [])]
        abstains = share((lengths <= 0).astype(np.float64))
        under = [share(right * (lengths > length)) for length in radii]
        rows.append((own.name, own.cell.severity, *counts, abstains, *under))
    what = (
        "Certified accuracy in percent: the smoothed verdict is right and stays so under every "
        "change of an L2 length of at most r, on pixels in [0, 1]"
    )
    used = {_said(own) for own in cells}
    header = (
        *("classifier", "sigma", *counts_header(group), "abstains"),
        *(f"r = {length:g}" for length in radii),
    )
    return captioned(
        group,
        *("certified", "Certified accuracy", what, cells, header, rows),
        intervals=f"{interval_name(group)} intervals over pictures",
        remarks=[*sorted(used), "Abstentions count as wrong. Noise is drawn by address."],
    )


def pooled_certificates(group: ResultSet) -> list[Result]:
    """By classifier and sigma, all trainings."""
    found: dict[tuple[str, float], list[Result]] = {}
    for result in group.certified:
        found.setdefault((result.cell.classifier, result.cell.level), []).append(result)
    pooled = [pool(sorted(own, key=lambda one: one.cell.seed)) for own in found.values()]
    return [own for own in pooled if own.n]


def certificates(own: Result) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """1 where the smoothed verdict is right, and its radius, 0 for none; (trainings, pictures)."""
    each = shared_samples([one.outcomes for one in own.results])
    right = np.stack([one.right for one in each]).astype(np.float64)
    return right, np.stack([one.logits.max(axis=1) for one in each]).astype(np.float64)


def farthest(own: Result) -> float:
    """The longest radius that so many samples can certify."""
    asked = about(own)
    return radius(asked["samples"], asked["samples"], own.cell.level, asked["alpha"])


def _said(own: Result) -> str:
    asked = about(own)
    return (
        f"{asked['samples']} noisy copies of each picture after {asked['selection']} that choose "
        f"the class; a certificate is wrong with probability {asked['alpha']:g} at most "
        "(Clopper-Pearson)."
    )


# ------------------------------------------------------------------------------------------------
# Pictures that were attacked, to be shown: the same ones of every classifier, whatever became of
# them.


@dataclass(frozen=True, eq=False)
class Attacked:
    """A picture before and after an attack.

    Attributes:
        label: Its class.
        clean: uint8 (H, W, 3).
        change: What the attack added, float32 grey levels (H, W, 3).
        before: Decision about the clean picture; None is a tie.
        after: About the attacked one, which may have had more than 8 bits.
    """

    label: str
    clean: NDArray[np.uint8]
    change: NDArray[np.float32]
    before: str | None
    after: str | None

    @property
    def attacked(self) -> NDArray[np.uint8]:
        """The adversarial picture in 8 bits."""
        return np.clip(np.rint(self.clean + self.change), 0, 255).astype(np.uint8)

    def amplified(self, factor: int) -> NDArray[np.uint8]:
        """The change times a factor, around grey."""
        return np.clip(np.rint(128 + factor * self.change), 0, 255).astype(np.uint8)


def attacked_pictures(
    group: ResultSet, store: Store
) -> dict[str, list[tuple[Result, list[Attacked]]]]:
    """By attack: a cell of each classifier, and its pictures that may be shown.

    Of each classifier the budget at which its accuracy is nearest to one half, and the first
    training.
    """
    kept: dict[str, list[tuple[Result, Result, dict[str, tuple[Any, float]]]]] = {}
    for attack in group.perturbations("attack"):
        for classifier in group.names:
            pooled, clean = group.under(classifier, attack), group.reference(classifier, attack)
            if clean is None:
                continue
            own = min(pooled, key=lambda one: abs(one.accuracy.value - 0.5)).results[0]
            before = [one for one in clean.results if one.cell.seed == own.cell.seed]
            found = store.examples(own.manifest)
            if before and found:
                kept.setdefault(attack, []).append((own, before[0], found))
    opened = showable(store, kept[next(iter(kept))][0][0].manifest) if kept else None
    if opened is None:
        return {}
    _, dataset = opened
    samples = {sample.id: sample for sample in dataset.samples("test")}
    shown: dict[str, list[tuple[Result, list[Attacked]]]] = {}
    for attack, cells in kept.items():
        for own, clean, changes in cells:
            if own.manifest.inputs.get("data") != dataset.digest:
                continue
            pictures = []
            for name, packed in changes.items():
                # It is no longer here, or not as it was.
                with contextlib.suppress(UserError, UnreadablePicture, ValueError, OSError):
                    picture = dataset.shown(samples[name])
                    change = unpacked_change(*packed, picture)
                    said = (one.outcomes.decision(name) for one in (clean, own))
                    label = own.outcomes.label(name)
                    pictures.append(Attacked(label, visible(picture), change, *said))
            if pictures:
                shown.setdefault(attack, []).append((own, pictures))
    return shown
