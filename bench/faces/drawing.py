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
class DrawingStyle:
    """One version of the drawing; lengths are in head units, see `Identity`.

    Attributes:
        version: The number by which it is asked for.
        modelled: Whether light falls on a relief, and folds of the skin are soft.
        zoom: Factor on the size of the head.
        lift: How much higher the head is, as a share of the picture's height.
        iris_radius: Radius of the iris.
        eye_shade: How far the white of the eye is as dark as skin in the shade.
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
        outer_sink: How far AU9 lowers the outer end of a brow.
        frown: How far AU4 lowers the inner end and the middle of a brow, and lifts the outer end.
        brow_bend: How much lower than its middle a brow's inner end is at rest.
        eased_frown: Share of the folds between the brows that AU1 smooths.
        pressed_fold: Depth of the fold under the lower lip under AU23.
        sneer_gap: How far AU10 opens the upper lip.
        ageing: Factor on the lines of age.
        stretch_sink: How far AU20 lowers the corners of the mouth.
        lid_raise: Share of an eye's opening by which AU5 widens it.
        rounding: Share of the mouth's width that AU26 takes away.
        sneer_sink: How far AU10 lowers the corners of the mouth against its middle.
        overhang: Opacity that AU4 adds to the shade around an eye.
        socket: Opacity of the shade around an eye.
        glint: Radius of the light that an eye reflects.
        pale_lips: How near the lips' colour is to the skin's.
        smile_folds: Depth of the folds beside the eyes under AU6.
        metering: How far the camera makes up for dark or bright skin and light, 0 to 1.
    """

    version: int
    modelled: bool = False
    zoom: float = 1.0
    lift: float = 0.0
    iris_radius: float = 0.088
    eye_shade: float = 0.0
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
    lid_raise: float = 1.0
    rounding: float = 0.32
    sneer_sink: float = 0.03
    socket: float = 0.42
    overhang: float = 0.0
    glint: float = 0.024
    pale_lips: float = 0.0
    smile_folds: float = 1.1
    metering: float = 0.0
    outer_sink: float = 0.01
    frown: tuple[float, float, float] = (0.155, 0.070, 0.025)
    brow_bend: float = 0.0
    eased_frown: float = 0.0
    pressed_fold: float = 0.7
    sneer_gap: float = 0.085
    ageing: float = 1.0
    stretch_sink: float = 0.045


#: The version that is drawn where none is named.
DRAWING = 2

DRAWINGS: Mapping[int, DrawingStyle] = MappingProxyType(
    {
        1: DrawingStyle(version=1),
        2: DrawingStyle(
            version=2,
            modelled=True,
            zoom=1.15,
            lift=0.040,
            iris_radius=0.070,
            eye_shade=0.45,
            least_lid=0.028,
            brow_shade=0.65,
            brow_hold=0.92,
            brows_together=0.10,
            smile_rise=0.155,
            smile_sink=0.025,
            smile_gap=(0.05, 0.14),
            corner_drop=0.10,
            sneer_rise=0.035,
            nose_folds=1.0,
            lid_raise=1.4,
            rounding=0.42,
            sneer_sink=0.05,
            socket=0.22,
            overhang=0.5,
            glint=0.015,
            pale_lips=0.4,
            smile_folds=0.6,
            metering=0.45,
            outer_sink=0.045,
            frown=(0.200, 0.105, 0.01),
            brow_bend=0.005,
            eased_frown=0.5,
            pressed_fold=0.35,
            sneer_gap=0.065,
            ageing=0.35,
            stretch_sink=0.065,
        ),
    }
)
