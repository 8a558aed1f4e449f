"""Drawn faces: a data set of facial expressions rendered from action units, attributes known.

- `action_units`  expressions as FACS action units, also of two emotions; difficulty presets
- `scene`         pose, light, background, occluder, camera; other rooms and cameras
- `drawing`       the versions of the drawing
- `face`          a person; the full description of one picture, `sample_face`, groups for reports
- `randomness`    draws and noise that are a function of an address
- `canvas`        drawing primitives, projection, painting
- `features`, `hair`    the parts of a face
- `relief`        what stands out of a face, and the light on it
- `render`        `draw` and `generate`
- `clip`          a face through time: `sample_clip`, `generate_clips`

The drawings are no evidence about real faces.
"""

from bench.faces.action_units import (
    AU_NAMES,
    DIFFICULTIES,
    EXPRESSION_SETS,
    EXPRESSIONS,
    PROTOTYPES,
    ActionUnits,
    Difficulty,
)
from bench.faces.clip import TASKS, Clip, frame_count, generate_clips, sample_clip
from bench.faces.drawing import DRAWING, DRAWINGS, DrawingStyle
from bench.faces.face import GROUPS, Face, groups_of, sample_face
from bench.faces.features import teeth_visible
from bench.faces.render import draw, generate
from bench.faces.scene import DOMAINS, Domain

__all__ = [
    "AU_NAMES",
    "DIFFICULTIES",
    "DOMAINS",
    "DRAWING",
    "DRAWINGS",
    "EXPRESSIONS",
    "EXPRESSION_SETS",
    "GROUPS",
    "PROTOTYPES",
    "TASKS",
    "ActionUnits",
    "Clip",
    "Difficulty",
    "Domain",
    "DrawingStyle",
    "Face",
    "draw",
    "frame_count",
    "generate",
    "generate_clips",
    "groups_of",
    "sample_clip",
    "sample_face",
    "teeth_visible",
]
