"""Drawn faces: a data set of facial expressions rendered from action units, attributes known.

- `action_units`  expressions as FACS action units, difficulty presets
- `identity`      the features of a person
- `scene`         pose, light, background, occluder, camera
- `face`          the full description of one picture, and `sample_face`
- `randomness`    draws and noise that are a function of an address
- `shapes`, `canvas`   drawing primitives, projection, painting
- `head`, `hair`, `eyes`, `mouth`, `accessories`, `backdrop`   the parts of a picture
- `render`        `draw` and `generate`
- `groups`        groups of faces for reports

The drawings are no evidence about real faces.
"""

from bench.data.faces.action_units import (
    AU_NAMES,
    DIFFICULTIES,
    EXPRESSIONS,
    PROTOTYPES,
    ActionUnits,
    Difficulty,
)
from bench.data.faces.face import Face, sample_face
from bench.data.faces.groups import GROUPS, groups_of
from bench.data.faces.render import draw, generate

__all__ = [
    "AU_NAMES",
    "DIFFICULTIES",
    "EXPRESSIONS",
    "GROUPS",
    "PROTOTYPES",
    "ActionUnits",
    "Difficulty",
    "Face",
    "draw",
    "generate",
    "groups_of",
    "sample_face",
]
