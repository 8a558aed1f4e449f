"""What decisions learn from validation traces, and how it is kept: arrays only, no torch.

Nothing here is learned from test pictures. Errors may also be surprises, -log p(class | view) of a
discriminative classifier, with the numbers of views in the place of timesteps.
"""

from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Self, TypeVar

import numpy as np

from emodc.by_timestep import GapProfile, Timesteps, TimestepWeights, gap_profile
from emodc.calibration import check, temperature, timestep_range, weights
from emodc.estimates import Floats
from emodc.held_out import Labels
from emodc.sequential import relative_gaps

__all__ = [
    "Fit",
    "GapProfile",
    "TimestepWeights",
    "bound",
    "fit",
    "gap_profile",
    "temperature",
    "timestep_range",
    "weights",
]

#: The bound on differences is so many times the largest one seen.
SAFETY = 1.5

_Curve = TypeVar("_Curve", TimestepWeights, GapProfile)


def bound(errors: Floats) -> float:
    """What no difference of two classes' errors at one step is expected to exceed.

    With a gap profile the test's bound is one on errors divided by `sequential.relative_gaps`.

    The largest difference seen, times `SAFETY`: an assumption of the bounded sequential test, which
    no finite number of pictures proves.

    Args:
        errors: (N, K, S), complete.
    """
    return SAFETY * float(np.ptp(errors.astype(np.float64), axis=1).max())


@dataclass(frozen=True)
class Fit:
    """What was learned from the validation trace of one classifier.

    Attributes:
        n: Number of validation pictures.
        temperature: Logits are -temperature * mean error.
        weights: Of timesteps, fitted for the best probabilities; uniform where none are better.
        range: Weights of 0 and of one value: the timesteps worth measuring.
        profile: How far classes lie apart at each timestep.
        bound: Of the difference of two classes' errors at one step, divided by the
            `sequential.relative_gaps` of the profile there.

    Raises:
        ValueError: If a number is not what it should be; the message names the field.
    """

    n: int
    temperature: float
    weights: TimestepWeights
    range: TimestepWeights
    profile: GapProfile
    bound: float

    def __post_init__(self) -> None:
        if not _is_number(self.n) or self.n < 1 or self.n != int(self.n):
            raise ValueError(f"n: {self.n!r} is no number of pictures")
        for name in ("temperature", "bound"):
            value = getattr(self, name)
            if not _is_number(value) or value <= 0:
                raise ValueError(f"{name}: {value!r} is no number above 0")

    def to_dict(self) -> dict[str, Any]:
        """As what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Take back what `to_dict` gave.

        Raises:
            ValueError: If a field is missing, unknown or not what it should be; it is named.
        """
        _named("fit", content, [field.name for field in fields(cls)])
        return cls(
            n=content["n"],
            temperature=content["temperature"],
            weights=_curve(TimestepWeights, "weights", content["weights"]),
            range=_curve(TimestepWeights, "range", content["range"]),
            profile=_curve(GapProfile, "profile", content["profile"]),
            bound=content["bound"],
        )


def fit(errors: Floats, timesteps: Timesteps, labels: Labels) -> Fit:
    """Learn everything from a validation trace.

    Args:
        errors: (N, K, S), complete.
        timesteps: (N, S).
        labels: (N,).

    Raises:
        ValueError: If nothing can be learned from it; see `emodc.calibration.temperature`.
    """
    check(errors, labels)
    profile = gap_profile(errors, timesteps)
    return Fit(
        n=len(labels),
        temperature=temperature(errors, labels),
        weights=weights(errors, timesteps, labels),
        range=timestep_range(errors, timesteps, labels),
        profile=profile,
        bound=bound(errors / relative_gaps(profile, timesteps)[:, None]),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _named(where: str, content: Any, names: list[str]) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{where}: {type(content).__name__} in the place of {', '.join(names)}")
    wrong = [f"{name} is missing" for name in names if name not in content]
    wrong += [f"{name} is unknown" for name in content if name not in names]
    if wrong:
        raise ValueError(f"{where}: {'; '.join(wrong)}")


def _curve(kind: type[_Curve], name: str, content: Any) -> _Curve:
    _named(name, content, ["edges", "values"])
    for part, values in content.items():
        if not isinstance(values, list | tuple) or not all(map(_is_number, values)):
            raise ValueError(f"{name}.{part}: no list of finite numbers")
    try:
        return kind(tuple(content["edges"]), tuple(content["values"]))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
