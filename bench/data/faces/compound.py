"""Compound expressions as facial action units: two basic expressions in one face.

A compound's units come from the union of its two expressions' units, as observed by Du, Tao and
Martinez (2014, *Compound facial expressions of emotion*, PNAS 111(15)), but not at the plain
maximum of the two: where they contradict each other (a dropped jaw and tightened lips, a raised
and a lowered brow) one gives way, as it does in people, and the units that tell the compound from
its neighbours at 64 pixels keep the greater share. Sadly surprised is surprise whose brows stay
low outside and whose eyes do not widen; fearfully angry is fear under the brow of anger.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PROTOTYPES: Mapping[str, Mapping[str, float]] = MappingProxyType(
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

ESSENTIAL: Mapping[str, frozenset[str]] = MappingProxyType(
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
