"""Groups of drawn faces, for results group by group: few, coarse, in words people use.

Cut points are quantiles of the law that faces are sampled from, or near them, chosen before any
result was seen and the same for every difficulty:

| group attribute | cut points | share of each value (default difficulty) |
|---|---|---|
| skin tone | quartiles of the scale of skin tones | 25 % each |
| age | 35 and 55 years | 27, 32, 40 % |
| glasses | | 16 % with |
| facial hair | stubble counts | 30 % with |
| head pose | turned from 7 degrees of yaw on | 35 % turned |
| light | terciles of the brightness | 33 % each |
| intensity | 2/3 and 5/6: terciles of the strength; none for a neutral face | 33 % each |

The first four belong to a person, so that all pictures of a person share them: 72 persons stand
behind 504 pictures of the seven basic expressions. `light` is that of the room, whatever a domain's
camera makes of it, and a clip is in the groups of its middle frame. An occluder is no group: at 4 %
of the faces it has too few.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Mapping
from types import MappingProxyType

from bench.data.faces.face import Face

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "skin tone": ("light", "medium", "brown", "dark"),
        "age": ("18-34", "35-54", "55-80"),
        "glasses": ("no glasses", "glasses"),
        "facial hair": ("no facial hair", "facial hair"),
        "head pose": ("frontal", "turned"),
        "light": ("dim", "normal", "bright"),
        "intensity": ("weak", "medium", "strong"),
    }
)
"""Group attributes and their values, in table order."""

_TURNED = 7.0  # degrees; 0.94 standard deviations of the default difficulty
_BRIGHTNESS = (0.65 + 0.5 / 3, 0.65 + 1.0 / 3)  # terciles of [0.65, 1.15)
_STRENGTH = (2 / 3, 5 / 6)  # terciles of [0.5, 1)


def groups_of(face: Face) -> dict[str, str]:
    """The value of each group attribute; `intensity` is left out where there is no expression."""
    person, scene = face.identity, face.scene
    groups = {
        "skin tone": person.skin_tone,
        "age": person.age_group,
        "glasses": GROUPS["glasses"][person.glasses],
        "facial hair": GROUPS["facial hair"][person.beard != "none"],
        "head pose": GROUPS["head pose"][abs(math.degrees(scene.pose.yaw)) >= _TURNED],
        "light": GROUPS["light"][bisect(_BRIGHTNESS, scene.light.brightness)],
    }
    if face.intensity > 0.0:
        groups["intensity"] = GROUPS["intensity"][bisect(_STRENGTH, face.intensity)]
    return groups
