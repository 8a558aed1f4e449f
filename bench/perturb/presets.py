"""Named lists of corruptions: which, with which constants, in the words of their sources.

`raf_db_c` is RAF-DB-C: A. Greco et al., "Benchmarking deep networks for facial emotion recognition
in the wild", Multimedia Tools and Applications, 2023 (doi 10.1007/s11042-022-12790-7), and its
public code.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bench.perturb.base import CONTINUOUS, Corruption, Kernel
from bench.perturb.corruptions import blur, digital, disk, face, noise, weather
from bench.perturb.versions import SEQUENCES, PerturbationSequence

# ------------------------------------------------------------------------------------------------
# RAF-DB-C: 18 corruptions of aligned faces of about 100 px, with the constants of its authors
#
# Lengths of defocus and motion blur are scaled by the picture's height over 48 px in the authors'
# code, and so they are here. Between two parts of a mix pixels are bytes here, and unrounded there;
# the severities of the parts are those of the code.
# ------------------------------------------------------------------------------------------------

#: Per severity 1-5 of a mix: its parts in order, as (corruption of RAF-DB-C, its severity).
MIXES: dict[str, tuple[tuple[tuple[str, int], ...], ...]] = {
    name: tuple(tuple(zip(parts, severities, strict=True)) for severities in rows)
    for name, parts, rows in (
        (
            "contrast_brightness_up",
            ("brightness_up", "contrast_down"),
            ((1, 1), (2, 1), (2, 2), (2, 3), (3, 4)),
        ),
        (
            "contrast_brightness_down",
            ("brightness_down", "contrast_down"),
            ((1, 1), (2, 1), (2, 2), (2, 3), (3, 4)),
        ),
        (
            "noise_low_light_low_contrast",
            ("gaussian_noise", "brightness_down", "contrast_down"),
            ((1, 1, 1), (2, 2, 1), (2, 2, 2), (3, 2, 3), (3, 2, 4)),
        ),
        (
            "motion_blur_low_light_low_contrast",
            ("motion_blur", "brightness_down", "contrast_down"),
            ((2, 1, 1), (3, 1, 1), (4, 2, 2), (5, 2, 1), (5, 2, 3)),
        ),
        (
            "pixelate_low_light_low_contrast",
            ("pixelate", "brightness_down", "contrast_down"),
            ((1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 1), (4, 3, 3)),
        ),
    )
}


REFERENCE_HEIGHT = 48
"""The height of a picture, in pixels, that radii and deviations are meant for."""

Part = tuple[str, Mapping[str, Any]]
"""One corruption of a mix: its name below, and its constants."""


def scaled_defocus_blur(pictures: np.ndarray, radius: float, alias_blur: float) -> np.ndarray:
    """`disk.defocus_blur` with both lengths scaled by the height; a radius is at least 1 px.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        radius: Of the disk, in pixels of a 48 px face.
        alias_blur: Standard deviation of the softening, likewise.

    Returns:
        uint8 (N, H, W, 3).
    """
    scale = pictures.shape[1] / REFERENCE_HEIGHT
    return disk.defocus_blur(pictures, max(1.0, radius * scale), alias_blur * scale)


def scaled_motion_blur(
    pictures: np.ndarray, radius: int, sigma: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """`blur.motion_blur` with a third of both lengths, scaled by the height.

    Whole pixels, as the authors' code has them; at least 1.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        radius: Of the line, in thirds of a pixel of a 48 px face.
        sigma: Standard deviation of the weights along it, likewise.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    scale = pictures.shape[1] / REFERENCE_HEIGHT
    length, spread = (max(1, int(value * scale // 3)) for value in (radius, sigma))
    return blur.motion_blur(pictures, length, float(spread), draws)


def mixed(
    pictures: np.ndarray,
    parts: Sequence[Part],
    draws: Sequence[np.random.Generator] | None = None,
) -> np.ndarray:
    """One corruption after the other; at most one of them is random.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        parts: In order.
        draws: One generator per picture, for the part that is random.

    Returns:
        uint8 (N, H, W, 3).
    """
    for name, constants in parts:
        kernel, random, _ = _SINGLE[name]
        pictures = kernel(pictures, **constants, **({"draws": draws} if random else {}))
    return pictures


def _rows(*names: str) -> Any:
    return lambda *rows: tuple(dict(zip(names, row, strict=True)) for row in rows)


_sigma, _photons, _scale = (_rows(name) for name in ("sigma", "photons", "scale"))

#: Kernel, whether it draws, constants at severities 1-5.
_SINGLE: dict[str, tuple[Kernel, bool, tuple[Mapping[str, Any], ...]]] = {
    "gaussian_blur": (blur.gaussian_blur, False, _sigma((1.0,), (1.8,), (2.6,), (3.4,), (4.0,))),
    "defocus_blur": (
        scaled_defocus_blur,
        False,
        _rows("radius", "alias_blur")((1.5, 0.1), (2.0, 0.2), (2.0, 0.3), (2.5, 0.4), (3.0, 0.4)),
    ),
    "zoom_blur": (
        blur.zoom_blur,
        False,
        tuple(
            {"factors": tuple(np.arange(1.0, stop, step).tolist())}
            for stop, step in ((1.11, 0.01), (1.18, 0.01), (1.26, 0.02), (1.32, 0.02), (1.40, 0.03))
        ),
    ),
    "motion_blur": (
        scaled_motion_blur,
        True,
        _rows("radius", "sigma")((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)),
    ),
    "gaussian_noise": (
        noise.gaussian_noise,
        True,
        _scale((0.08,), (0.12,), (0.18,), (0.24,), (0.30,)),
    ),
    "shot_noise": (noise.shot_noise, True, _photons((60.0,), (29.0,), (15.0,), (8.0,), (5.0,))),
    "contrast_up": (digital.contrast, False, digital.RAF_DB_C["contrast_up"]),
    "contrast_down": (digital.contrast, False, digital.RAF_DB_C["contrast_down"]),
    "brightness_up": (digital.brightness, False, digital.RAF_DB_C["brightness_up"]),
    "brightness_down": (digital.brightness, False, digital.RAF_DB_C["brightness_down"]),
    "spatter": (weather.spatter, True, weather.IMAGECORRUPTIONS["spatter"]),
    "pixelate": (digital.pixelate, False, digital.RAF_DB_C["pixelate"]),
    "jpeg_compression": (digital.jpeg_compression, False, digital.RAF_DB_C["jpeg_compression"]),
}


def _constants(parts: Sequence[tuple[str, int]]) -> tuple[Part, ...]:
    """The parts of a mix at one severity, with their constants."""
    return tuple((name, _SINGLE[name][2][severity - 1]) for name, severity in parts)


#: By full name.
RAF_DB_C: dict[str, Corruption] = {
    f"raf_db_c.{name}": Corruption(
        # Radii from 7 to 8 px, such as of pictures of 112 or 224 px, were summed up wrongly.
        *(f"raf_db_c.{name}", kernel, levels, random),
        version=2 if name == "defocus_blur" else 1,
    )
    for name, (kernel, random, levels) in _SINGLE.items()
} | {
    f"raf_db_c.{name}": Corruption(
        f"raf_db_c.{name}",
        mixed,
        tuple({"parts": _constants(parts)} for parts in levels),
        any(_SINGLE[part][1] for part, _ in levels[0]),
    )
    for name, levels in MIXES.items()
}


# ------------------------------------------------------------------------------------------------
# The presets
# ------------------------------------------------------------------------------------------------


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
    "brightness": (digital.brightness, digital.IMAGECORRUPTIONS["brightness"]),
    "contrast": (digital.contrast, digital.IMAGECORRUPTIONS["contrast"]),
    "elastic_transform": (
        digital.elastic_transform,
        digital.IMAGECORRUPTIONS["elastic_transform"],
    ),
    "pixelate": (digital.pixelate, digital.IMAGECORRUPTIONS["pixelate"]),
    "jpeg_compression": (digital.jpeg_compression, digital.IMAGECORRUPTIONS["jpeg_compression"]),
    "speckle_noise": (noise.speckle_noise, _levels("scale", noise.SPECKLE_NOISE_SCALE)),
    "gaussian_blur": (blur.gaussian_blur, _levels("sigma", blur.GAUSSIAN_BLUR_SIGMA)),
    "spatter": (weather.spatter, weather.IMAGECORRUPTIONS["spatter"]),
    "saturate": (digital.saturate, digital.IMAGECORRUPTIONS["saturate"]),
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


#: What the bare names mean.
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
            RAF_DB_C,
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


# ------------------------------------------------------------------------------------------------
# Constants in words, for lists and captions.


def in_words(parameters: Mapping[str, Any]) -> str:
    """Constant by constant over the severities, such as "amount 1.5, 2, 2.5; decay 2".

    A constant that is the same at all severities is said once, a long list by its ends.

    Args:
        parameters: As `bench.perturb.Corruption.parameters` gives them.
    """
    each = [dict(_flat(level)) for level in parameters["levels"]]
    names = dict.fromkeys(name for level in each for name in level)
    return "; ".join(
        f"{name} {_series([level.get(name, '–') for level in each])}".strip() for name in names
    )


_SAID = ("name", "levels", "version", "severity", "torchattacks", "outputs", "split", "views")


def other_parameters(parameters: Mapping[str, Any]) -> str:
    """Parameters of an attack or of a user's own function, such as "steps 10; step size eps/4".

    Args:
        parameters: As `bench.perturb.Perturbation.inputs` gives them; of a corruption of the bench
            the result is empty, for `in_words` has its constants.
    """
    own = {name: value for name, value in parameters.items() if name not in _SAID}
    if "frames" in own:  # of a sequence
        return ""
    return "; ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in own.items())


def _flat(level: Any) -> Iterable[tuple[str, str]]:
    """Names and values of the constants at one severity; parts of a mix by their own names."""
    if isinstance(level, Mapping):
        return [(str(name).replace("_", " "), _value(value)) for name, value in level.items()]
    if isinstance(level, list | tuple) and all(isinstance(part, list | tuple) for part in level):
        return [
            (f"{part} {name}".replace("_", " "), value)
            for part, constants in level
            for name, value in _flat(constants)
        ]
    return [("", _value(level))]


def _series(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ", ".join(values)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        if len(value) > 3:
            return f"{_value(value[0])} to {_value(value[-1])} ({len(value)} values)"
        return "(" + ", ".join(map(_value, value)) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------------
# What `bench perturb list` says: presets, their members and constants.


def as_json() -> list[dict[str, Any]]:
    """A dict per preset."""
    return [
        {
            "name": preset.name,
            "version": preset.version,
            "about": preset.about,
            "corruptions": [c.parameters() for c in preset.corruptions.values()],
            "sequences": [s.parameters() for s in preset.sequences.values()],
        }
        for preset in PRESETS.values()
    ]


def levels_as_json() -> list[dict[str, Any]]:
    """A dict per perturbation at continuous levels."""
    return [
        {
            **one.parameters(),
            "about": one.meaning,
            "bounds": list(one.bounds),
            "levels": list(one.usual_levels),
        }
        for one in CONTINUOUS.values()
    ]


def as_text(width: int) -> str:
    """A paragraph per preset and one of continuous levels, wrapped to `width` columns."""
    return "\n\n".join([*(_paragraph(own, width) for own in PRESETS.values()), _continuous(width)])


def _continuous(width: int) -> str:
    lines = textwrap.wrap(
        "continuous levels: `perturbations.levels`, any number within the bounds.",
        width,
        subsequent_indent="  ",
    )
    for one in CONTINUOUS.values():
        text = f"{one.name}: {one.meaning}; {one.bounds[0]:g} to {one.bounds[1]:g}"
        lines += textwrap.wrap(
            text, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
        )
    return "\n".join(lines)


def _paragraph(preset: Preset, width: int) -> str:
    lines = textwrap.wrap(
        f"{preset.name}: {preset.about}. Version {preset.version}.", width, subsequent_indent="  "
    )
    for corruption in preset.corruptions.values():
        text = f"{corruption.name}: {in_words(corruption.parameters())}"
        lines += textwrap.wrap(
            text, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
        )
    for sequence in preset.sequences.values():
        first, last = sequence.constants[1 if sequence.noise else 0], sequence.constants[-1]
        span = f"{first:g}" if sequence.noise else f"{first:g} to {last:g}"
        lines.append(f"  {sequence.name}: {span}, {len(sequence.constants)} frames")
    return "\n".join(lines)
