"""How much an accuracy under attack can be believed: checks of the attack, and a grade.

An attack that fails says nothing of the classifier. Each check is named, and computed from what is
stored: rows of this attack and of others at the same budget, and what was seen while attacking.

A: every check was made and passed. B: none failed, but some could not be made. C: a check failed.
D: the attack was blind, or the verdict is not what it attacked: the number is no evidence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from bench.report.results import Result, ResultSet

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
    """The parameters of an attack."""
    found: dict[str, Any] = result.manifest.inputs.get("perturbation", {})
    return found


def norm_of(result: Result) -> str:
    """The norm of an attack's budget."""
    return str(about(result).get("norm", "linf"))


def evidence(group: ResultSet, classifier: str, attack: str) -> Evidence | None:
    """Judge an attack on a classifier; None without results, and for random noise."""
    cells = group.under(classifier, attack)
    if not cells or about(cells[0]).get("kind") == "random_noise":
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
    """A sentence for each of the attacks (all, if none are named) whose numbers are no evidence."""
    found = []
    for classifier, name in group.names.items():
        for attack in group.perturbations("attack") if attacks is None else attacks:
            own = evidence(group, classifier, attack)
            if own is None or own.believed:
                continue
            why = "; ".join(own.failed.values())
            what = "no evidence" if own.grade == "D" else "weak evidence"
            found.append(f"{name} under {attack}: {what} of robustness (grade {own.grade}): {why}.")
    return found


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
