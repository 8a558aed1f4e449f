"""Expressions as facial action units: the basic ones, and compounds of two in one face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from bench.faces.randomness import RandomStream
from bench.labels import BASIC, COMPOUND

# ------------------------------------------------------------------------------------------------
# Compound expressions as facial action units: two basic expressions in one face.
#
# A compound's units come from the union of its two expressions' units, as observed by Du, Tao and
# Martinez (2014, *Compound facial expressions of emotion*, PNAS 111(15)), but not at the plain
# maximum of the two: where they contradict each other (a dropped jaw and tightened lips, a raised
# and a lowered brow) one gives way, as it does in people, and the units that tell the compound from
# its neighbours at 64 pixels keep the greater share. Sadly surprised is surprise whose brows stay
# low outside and whose eyes do not widen; fearfully angry is fear under the brow of anger.


COMPOUND_PROTOTYPES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "happily surprised": {"au01": 1.0, "au02": 1.0, "au05": 0.9, "au12": 1.0, "au26": 0.6},
        "happily disgusted": {"au06": 0.6, "au09": 0.9, "au10": 0.7, "au12": 1.0},
        "sadly fearful": {"au01": 1.0, "au04": 0.7, "au05": 0.4, "au15": 0.7, "au20": 0.9},
        "sadly angry": {"au04": 1.0, "au07": 0.8, "au15": 1.0, "au17": 0.8, "au23": 0.4},
        "sadly surprised": {"au01": 1.0, "au04": 0.6, "au15": 0.5, "au26": 0.9},
        "sadly disgusted": {
            "au01": 1.0, "au04": 0.6, "au09": 0.7, "au10": 0.7, "au15": 1.0, "au17": 0.3,
        },
        "fearfully angry": {"au04": 1.0, "au05": 0.9, "au20": 1.0, "au26": 0.3},
        "fearfully surprised": {
            "au01": 1.0, "au02": 1.0, "au05": 1.0, "au20": 0.9, "au26": 0.9,
        },
        "angrily surprised": {"au04": 1.0, "au05": 0.6, "au07": 0.3, "au26": 1.0},
        "angrily disgusted": {
            "au04": 1.0, "au07": 0.8, "au09": 0.9, "au10": 0.9, "au16": 0.5,
        },
        "disgustedly surprised": {
            "au01": 1.0, "au02": 1.0, "au05": 1.0, "au09": 0.6, "au10": 1.0, "au26": 0.3,
        },
    }
)  # fmt: skip
"""Unit -> its share of the expression's intensity."""

COMPOUND_ESSENTIAL: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "happily surprised": frozenset({"au02", "au12", "au26"}),
        "happily disgusted": frozenset({"au09", "au12"}),
        "sadly fearful": frozenset({"au01", "au15", "au20"}),
        "sadly angry": frozenset({"au04", "au15"}),
        "sadly surprised": frozenset({"au01", "au04", "au26"}),
        "sadly disgusted": frozenset({"au01", "au09", "au15"}),
        "fearfully angry": frozenset({"au04", "au05", "au20"}),
        "fearfully surprised": frozenset({"au02", "au20", "au26"}),
        "angrily surprised": frozenset({"au04", "au26"}),
        "angrily disgusted": frozenset({"au04", "au09", "au10"}),
        "disgustedly surprised": frozenset({"au02", "au09", "au10"}),
    }
)
"""Units never dropped from an expression, because without them it reads as another one."""


# ------------------------------------------------------------------------------------------------
# Expressions as facial action units, and how a face's units are sampled.
#
# The units are those of the Facial Action Coding System (Ekman & Friesen, 1978, *Facial Action
# Coding System: A technique for the measurement of facial movement*). The combination that stands
# for each basic expression follows EMFACS (Friesen & Ekman, 1983), reduced to what 64 pixels can
# show; `compound` holds those of two expressions in one face.


EXPRESSIONS: tuple[str, ...] = BASIC

EXPRESSION_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"basic": BASIC, "compound": COMPOUND}
)
"""The sets of expressions that can be drawn, each in the order of its pictures."""


@dataclass(frozen=True, slots=True)
class ActionUnits:
    """Intensities of the drawn action units, each in [0, 1] (0 absent, 1 FACS grade E)."""

    au01: float = 0.0  # inner brow raiser
    au02: float = 0.0  # outer brow raiser
    au04: float = 0.0  # brow lowerer
    au05: float = 0.0  # upper lid raiser
    au06: float = 0.0  # cheek raiser
    au07: float = 0.0  # lid tightener
    au09: float = 0.0  # nose wrinkler
    au10: float = 0.0  # upper lip raiser
    au12: float = 0.0  # lip corner puller
    au15: float = 0.0  # lip corner depressor
    au16: float = 0.0  # lower lip depressor
    au17: float = 0.0  # chin raiser
    au20: float = 0.0  # lip stretcher
    au23: float = 0.0  # lip tightener
    au25: float = 0.0  # lips part
    au26: float = 0.0  # jaw drop


AU_NAMES: tuple[str, ...] = tuple(field.name for field in fields(ActionUnits))

PROTOTYPES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "neutral": {},
        "happiness": {"au06": 1.0, "au12": 1.0},
        "sadness": {"au01": 1.0, "au04": 0.6, "au15": 1.0, "au17": 0.5},
        "surprise": {"au01": 1.0, "au02": 1.0, "au05": 0.9, "au26": 1.0},
        "fear": {"au01": 1.0, "au02": 0.7, "au04": 0.8, "au05": 1.0, "au20": 1.0, "au26": 0.5},
        "anger": {"au04": 1.0, "au05": 0.4, "au07": 0.9, "au23": 1.0},
        "disgust": {"au09": 1.0, "au10": 0.9, "au15": 0.4, "au16": 0.6},
        **COMPOUND_PROTOTYPES,
    }
)
"""Combination that stands for each expression: unit -> its share of the expression's intensity."""

ESSENTIAL: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "neutral": frozenset(),
        "happiness": frozenset({"au12"}),
        "sadness": frozenset({"au01", "au15"}),
        "surprise": frozenset({"au02", "au26"}),
        # Without the inner brow raiser the lowered brow of fear reads as anger.
        "fear": frozenset({"au01", "au20"}),
        "anger": frozenset({"au04", "au23"}),
        "disgust": frozenset({"au09"}),
        **COMPOUND_ESSENTIAL,
    }
)
"""Units never dropped from an expression, because without them it reads as another one."""

VARIANTS: Mapping[str, tuple[Mapping[str, float], ...]] = MappingProxyType(
    {
        "neutral": ({},),
        "happiness": (
            {"au06": 1.0, "au12": 1.0},
            {"au06": 1.0, "au12": 1.0, "au25": 0.8, "au26": 0.3},
        ),
        "sadness": (
            {"au01": 1.0, "au04": 0.5, "au15": 1.0, "au17": 0.5},
            {"au01": 1.0, "au04": 0.7, "au15": 0.9, "au17": 0.8},
        ),
        "surprise": (
            {"au01": 1.0, "au02": 1.0, "au05": 0.9, "au26": 1.0},
            {"au01": 1.0, "au02": 1.0, "au05": 0.7, "au25": 0.5, "au26": 0.9},
        ),
        "fear": (
            {
                "au01": 1.0, "au02": 0.6, "au04": 0.8, "au05": 1.0, "au07": 0.2, "au20": 1.0,
                "au25": 1.0,
            },
            {
                "au01": 1.0, "au02": 0.5, "au04": 0.8, "au05": 1.0, "au07": 0.2, "au16": 0.4,
                "au20": 1.0, "au26": 0.7,
            },
        ),
        "anger": (
            # Lips pressed; teeth bared; a shout.
            {"au04": 1.0, "au05": 0.6, "au07": 0.6, "au17": 0.5, "au23": 1.0},
            {
                "au04": 1.0, "au05": 0.5, "au07": 0.6, "au10": 0.5, "au16": 1.0, "au20": 0.3,
                "au25": 0.6,
            },
            {
                "au04": 1.0, "au05": 0.5, "au07": 0.6, "au10": 0.4, "au16": 0.8, "au25": 1.0,
                "au26": 0.5,
            },
        ),
        "disgust": (
            {"au04": 0.5, "au07": 0.8, "au09": 1.0, "au10": 1.0, "au15": 0.8, "au16": 0.3},
            {"au04": 0.5, "au07": 0.8, "au09": 1.0, "au10": 1.0, "au15": 0.7, "au17": 0.9},
        ),
    }
)  # fmt: skip
"""What people show under one name: combinations that are equally likely, where drawn so."""

_LEAST_ESSENTIAL_SHARE = 0.9
"""Units of a variant with this share or more are never dropped."""

_DISTRACTORS = (
    "au01", "au02", "au04", "au05", "au07", "au09", "au10", "au12", "au15", "au20", "au23",
)  # fmt: skip
_DISTRACTOR_MAXIMUM = 0.3
_NO_SMILE = frozenset({"au15", "au20", "au23"})
"""Units whose expressions get no stray AU12: half a smile makes fear or anger unreadable."""
_LEAST_FACTOR, _LEAST_ESSENTIAL_FACTOR, _GREATEST_FACTOR = 0.5, 0.75, 1.1
"""Range of a unit's own factor: people mix the units of an expression unequally."""
_LIPS_PART_PROBABILITY = 0.2


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard the drawn expressions are to recognise.

    Attributes:
        name: The name of the preset.
        intensity_low: Weakest expression, in [0, 1].
        intensity_high: Strongest expression, in [0, 1].
        yaw_sd: Standard deviation of turning left or right, radians.
        pitch_sd: Standard deviation of nodding, radians.
        roll_sd: Standard deviation of tilting in the image plane, radians.
        scale_low: Smallest half height of a head, as a share of the image's height.
        scale_high: Largest half height of a head.
        occluder_probability: Probability of a small object in front of the face.
        distractor_probability: Probability, per unit, of a weak unit foreign to the expression.
        dropout_probability: Probability, per inessential unit, of its missing altogether.
    """

    name: str
    intensity_low: float
    intensity_high: float
    yaw_sd: float
    pitch_sd: float
    roll_sd: float
    scale_low: float
    scale_high: float
    occluder_probability: float
    distractor_probability: float
    dropout_probability: float


DIFFICULTIES: Mapping[str, Difficulty] = MappingProxyType(
    {
        "default": Difficulty(
            name="default",
            intensity_low=0.5,
            intensity_high=1.0,
            yaw_sd=0.13,
            pitch_sd=0.06,
            roll_sd=0.06,
            scale_low=0.45,
            scale_high=0.50,
            occluder_probability=0.04,
            distractor_probability=0.1,
            dropout_probability=0.04,
        ),
        "hard": Difficulty(
            name="hard",
            intensity_low=0.35,
            intensity_high=1.0,
            yaw_sd=0.22,
            pitch_sd=0.10,
            roll_sd=0.10,
            scale_low=0.42,
            scale_high=0.52,
            occluder_probability=0.08,
            distractor_probability=0.15,
            dropout_probability=0.08,
        ),
    }
)


def sample_action_units(
    draws: RandomStream, expression: str, difficulty: Difficulty, varied: bool
) -> tuple[ActionUnits, float]:
    """Samples the action units of one face.

    Args:
        draws: Where the randomness comes from.
        expression: One of a set in `EXPRESSION_SETS`.
        difficulty: The preset that gives intensity, dropout and distractors.
        varied: Whether an expression is one of its `VARIANTS`, where it has them.

    Returns:
        The units, and the intensity of the expression in [0, 1] (0 for neutral).
    """
    prototype, essentials = PROTOTYPES[expression], ESSENTIAL[expression]
    if varied and expression in VARIANTS:
        prototype = draws.pick(VARIANTS[expression])
        essentials = frozenset(u for u, s in prototype.items() if s >= _LEAST_ESSENTIAL_SHARE)
    strength = draws.uniform(difficulty.intensity_low, difficulty.intensity_high)
    levels: dict[str, float] = {}
    for unit, share in prototype.items():
        essential = unit in essentials
        least = _LEAST_ESSENTIAL_FACTOR if essential else _LEAST_FACTOR
        level = min(1.0, strength * share * draws.uniform(least, _GREATEST_FACTOR))
        dropped = draws.chance(difficulty.dropout_probability)
        if essential or not dropped:
            levels[unit] = level
    for unit in _DISTRACTORS:
        level = draws.uniform(0.0, _DISTRACTOR_MAXIMUM)
        stray = draws.chance(difficulty.distractor_probability)
        if stray and not (unit == "au12" and _NO_SMILE & prototype.keys()):
            levels[unit] = max(level, levels.get(unit, 0.0))
    parting = draws.uniform(0.0, 0.5)
    if draws.chance(_LIPS_PART_PROBABILITY):
        levels["au25"] = max(parting, levels.get("au25", 0.0))
    return ActionUnits(**levels), strength if prototype else 0.0
