"""Named lists of corruptions: which, with which constants, in the words of their sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.perturb import raf_db_c
from bench.perturb.base import Corruption, Kernel
from bench.perturb.corruptions import blur, colour, digital, disk, face, noise, weather
from bench.perturb.sequences import SEQUENCES, PerturbationSequence


@dataclass(frozen=True)
class Preset:
    """A versioned list of corruptions.

    Attributes:
        name: As in configs.
        version: Raised when a member, a constant or a pixel changes.
        about: What it is and where it comes from, for docs and table footers.
        corruptions: Its members, by their name in configs and tables.
        sequences: Those of its members that are sequences, likewise.
    """

    name: str
    version: int
    about: str
    corruptions: Mapping[str, Corruption]
    sequences: Mapping[str, PerturbationSequence] = field(default_factory=dict)

    def here(self) -> tuple["Preset", dict[str, str]]:
        """The preset less what cannot be applied here, and why each of these cannot."""
        reasons = {name: corruption.missing() for name, corruption in self.corruptions.items()}
        left_out = {name: reason for name, reason in reasons.items() if reason}
        kept = {name: own for name, own in self.corruptions.items() if name not in left_out}
        return replace(self, corruptions=kept), left_out


def _levels(names: str | Sequence[str], rows: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """Constants at each severity, from one value or a tuple of values per severity."""
    if isinstance(names, str):
        return tuple({names: value} for value in rows)
    return tuple(dict(zip(names, row, strict=True)) for row in rows)


_RANDOM = {
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "motion_blur", "glass_blur",
    "snow", "frost", "fog", "spatter", "elastic_transform",
}  # fmt: skip

#: Kernels and constants of the package imagecorruptions, by its names.
_PACKAGE: dict[str, tuple[Kernel, tuple[Mapping[str, Any], ...]]] = {
    "gaussian_noise": (noise.gaussian_noise, _levels("scale", noise.GAUSSIAN_NOISE_SCALE)),
    "shot_noise": (noise.shot_noise, _levels("photons", noise.SHOT_NOISE_PHOTONS)),
    "impulse_noise": (noise.impulse_noise, _levels("amount", noise.IMPULSE_NOISE_AMOUNT)),
    "defocus_blur": (disk.defocus_blur, _levels(("radius", "alias_blur"), disk.DEFOCUS_BLUR)),
    "glass_blur": (
        blur.glass_blur,
        _levels(("sigma", "max_delta", "iterations"), blur.GLASS_BLUR),
    ),
    "motion_blur": (blur.motion_blur, _levels(("radius", "sigma"), blur.MOTION_BLUR)),
    "zoom_blur": (blur.zoom_blur, _levels("factors", blur.ZOOM_BLUR_FACTORS)),
    "snow": (weather.snow, weather.IMAGECORRUPTIONS["snow"]),
    "frost": (weather.frost, weather.IMAGECORRUPTIONS["frost"]),
    "fog": (weather.fog, weather.IMAGECORRUPTIONS["fog"]),
    "brightness": (colour.brightness, colour.IMAGECORRUPTIONS["brightness"]),
    "contrast": (colour.contrast, colour.IMAGECORRUPTIONS["contrast"]),
    "elastic_transform": (
        digital.elastic_transform,
        digital.IMAGECORRUPTIONS["elastic_transform"],
    ),
    "pixelate": (digital.pixelate, digital.IMAGECORRUPTIONS["pixelate"]),
    "jpeg_compression": (digital.jpeg_compression, digital.IMAGECORRUPTIONS["jpeg_compression"]),
    "speckle_noise": (noise.speckle_noise, _levels("scale", noise.SPECKLE_NOISE_SCALE)),
    "gaussian_blur": (blur.gaussian_blur, _levels("sigma", blur.GAUSSIAN_BLUR_SIGMA)),
    "spatter": (weather.spatter, weather.IMAGECORRUPTIONS["spatter"]),
    "saturate": (colour.saturate, colour.IMAGECORRUPTIONS["saturate"]),
}


def _of_package(prefix: str, names: Sequence[str]) -> dict[str, Corruption]:
    return {
        prefix + name: Corruption(
            prefix + name,
            *_PACKAGE[name],
            random=name in _RANDOM,
            needs=weather.frost_missing if name == "frost" else None,
        )
        for name in names
    }


_OURS = {
    "gaussian_noise": Corruption(
        "gaussian_noise",
        noise.white_noise,
        _levels("sigma", (0.08, 0.12, 0.18, 0.24, 0.30)),
        True,
    ),
    "gaussian_blur": Corruption(
        "gaussian_blur", blur.scaled_blur, _levels("sigma", (1.0, 1.8, 2.6, 3.4, 4.0))
    ),
}

_FACE_RANDOM = {
    "patch", "mask", "sunglasses", "hand", "low_light", "misaligned_rotation", "misaligned_shift",
}  # fmt: skip

_FACE = {
    f"face.{name}": Corruption(f"face.{name}", getattr(face, name), levels, name in _FACE_RANDOM)
    for name, levels in (face.FACE | face.CAPTURE | face.FRAMING).items()
}

_AXIS = (
    "shot_noise", "impulse_noise", "speckle_noise",
    "defocus_blur", "motion_blur", "zoom_blur", "glass_blur",
)  # fmt: skip

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "noise_blur",
            1,
            "four noises and five blurs; gaussian ones with RAF-DB-C's levels for 100 px faces, "
            "the others with imagecorruptions'",
            _OURS | _of_package("", _AXIS),
        ),
        Preset(
            "imagecorruptions",
            1,
            "the 15 common and 4 validation corruptions of the package imagecorruptions, with its "
            "constants (Hendrycks and Dietterich, 2019; Michaelis et al., 2019)",
            _of_package("imagecorruptions.", tuple(_PACKAGE)),
        ),
        Preset(
            "sequences",
            1,
            "ten perturbation sequences of 30 frames, for flip rates, after RAF-DB-P (Greco et "
            "al., 2023); the picture's edge is repeated",
            {},
            SEQUENCES,
        ),
        Preset(
            "raf_db_c",
            1,
            "RAF-DB-C's 18 corruptions of aligned faces of about 100 px, mixes included (Greco et "
            "al., 2023, doi 10.1007/s11042-022-12790-7)",
            raf_db_c.CORRUPTIONS,
        ),
        Preset(
            "face",
            1,
            "what happens to faces: hidden by a patch, mask, sunglasses or hand; low light, low "
            "resolution, saved again as JPEG; turned, shifted, too small or too large in the frame",
            _FACE,
        ),
    )
}
