"""Domains: other rooms and other cameras for the same faces, for tests across data sets.

A domain changes scene and camera only. Picture `index` of a split shows the same person with the
same action units in every domain, so that a difference between two domains is theirs alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Domain:
    """The settings of scene and camera that pictures are sampled with.

    Attributes:
        name: The name of the domain.
        zoom: Factor on the size of the head; above 1 the field of view is narrower.
        shift_sd: Standard deviation of the head's displacement, shares of the picture.
        tilt: Added to every nod, radians: where the camera stands, positive for above.
        blur_low: Least standard deviation of the blur where there is one, pixels.
        blur_high: Greatest.
        blur_probability: Share of blurred pictures.
        grain_low: Least standard deviation of the grain, grey levels of 255.
        grain_high: Greatest.
        exposure: Factor on all pixels.
        balance: Factors on red, green and blue.
        grey: Whether the film has no colour.
        contrast: Factor on differences from mid-grey.
        vignette: Share of light lost in the corners.
    """

    name: str
    zoom: float = 1.0
    shift_sd: float = 0.012
    tilt: float = 0.0
    blur_low: float = 0.3
    blur_high: float = 1.0
    blur_probability: float = 0.4
    grain_low: float = 1.0
    grain_high: float = 7.0
    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    grey: bool = False
    contrast: float = 1.0
    vignette: float = 0.0


DOMAINS: Mapping[str, Domain] = MappingProxyType(
    {
        "default": Domain(name="default"),
        # A laptop in a dim room: a small sensor, a screen's light, a face that leans into view.
        "webcam": Domain(
            name="webcam",
            zoom=1.10,
            shift_sd=0.035,
            tilt=-0.10,
            blur_low=0.6,
            blur_high=1.1,
            blur_probability=0.9,
            grain_low=5.0,
            grain_high=11.0,
            exposure=0.80,
            balance=(0.86, 1.0, 1.16),
        ),
        # Grey film under an old lens.
        "archive": Domain(
            name="archive",
            blur_low=0.4,
            blur_high=0.8,
            blur_probability=0.8,
            grain_low=6.0,
            grain_high=12.0,
            exposure=1.25,
            grey=True,
            contrast=0.9,
            vignette=0.5,
        ),
    }
)
