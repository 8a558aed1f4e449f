"""The versions of the drawing: which settings tell one from another.

Drawing 1 is flat: skin of one colour, folds as lines, the whole head in the picture. Drawing 2 is
modelled: light falls on the relief of the face (`relief`), folds are soft, proportions and
expressions are nearer to photographs, and the picture is cut as FER data sets cut theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Drawing:
    """One version of the drawing; lengths are in head units, see `Identity`.

    Attributes:
        version: The number by which it is asked for.
        modelled: Whether light falls on a relief, and folds of the skin are soft.
        zoom: Factor on the size of the head.
        lift: How much higher the head is, as a share of the picture's height.
        iris_radius: Radius of the iris.
        eye_white: Brightness of the white of the eye, 1 as bright as paper.
        least_lid: Least height of the upper lid over the eye's centre.
        brow_shade: How far the brows have the skin's colour, darkened, and not the hair's.
        brow_hold: Share of AU4's lowering of a brow's inner end that AU1 takes back.
        brows_together: How far AU4 draws the brows to each other.
        smile_rise: How far AU12 lifts the corners of the mouth.
        smile_sink: How far AU12 lowers its middle.
        smile_gap: How far a smile that shows teeth opens the upper and the lower lip.
        corner_drop: How far AU15 lowers the corners of the mouth.
        sneer_rise: How far AU10 lifts the mouth.
        nose_folds: Depth of the folds across the nose under AU9.
        metering: How far the camera makes up for dark or bright skin and light, 0 to 1.
    """

    version: int
    modelled: bool = False
    zoom: float = 1.0
    lift: float = 0.0
    iris_radius: float = 0.088
    eye_white: float = 1.0
    least_lid: float = 0.018
    brow_shade: float = 0.35
    brow_hold: float = 0.55
    brows_together: float = 0.06
    smile_rise: float = 0.185
    smile_sink: float = 0.045
    smile_gap: tuple[float, float] = (0.02, 0.15)
    corner_drop: float = 0.125
    sneer_rise: float = 0.02
    nose_folds: float = 1.1
    metering: float = 0.0


DRAWINGS: Mapping[int, Drawing] = MappingProxyType(
    {
        1: Drawing(version=1),
        2: Drawing(
            version=2,
            modelled=True,
            zoom=1.24,
            lift=0.055,
            iris_radius=0.070,
            eye_white=0.80,
            least_lid=0.028,
            brow_shade=0.65,
            brow_hold=0.92,
            brows_together=0.08,
            smile_rise=0.125,
            smile_sink=0.025,
            smile_gap=(0.05, 0.12),
            corner_drop=0.10,
            sneer_rise=0.035,
            nose_folds=0.7,
            metering=0.45,
        ),
    }
)
