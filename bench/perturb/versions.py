"""A picture in several versions: sequences for flip rates, views for test-time augmentation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from typing_extensions import override

from bench.perturb.base import Address, Batch, Clean, Measurable, Perturbation
from bench.perturb.corruptions import blur, digital, noise
from bench.util import rng

if TYPE_CHECKING:
    from torch import Tensor

# ------------------------------------------------------------------------------------------------
# Perturbation sequences: a picture that changes a little from frame to frame, for flip rates.
#
# A decision that flips between frames that people see alike is not stable, right or wrong. After D.
# Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and
# perturbations" (ICLR 2019), sec. 3.2, and RAF-DB-P (A. Greco et al., Multimedia Tools and
# Applications, 2023, doi 10.1007/s11042-022-12790-7): ten kinds of thirty frames each. RAF-DB-P
# cuts its frames from larger originals; here the picture at its native size is all there is, and
# its edge is repeated where a frame shows what lies outside, so that no black corner gives the
# angle away.


FRAMES = 30

Frame = Callable[..., np.ndarray]
"""(picture uint8 (1, H, W, 3), constant[, draws]) -> uint8 (1, H, W, 3)."""


@dataclass(frozen=True)
class PerturbationSequence(Perturbation):
    """Thirty versions of a picture.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        frame: Makes a frame.
        constants: Of the frames, (30,); of noise the first is 0, the clean picture.
        noise: Whether frames are draws of their own, compared with the first, rather than steps of
            a change, compared with the one before.
        version: Raise when the same picture becomes another sequence.
    """

    name: str
    frame: Frame
    constants: tuple[float, ...]
    noise: bool = False
    version: int = 1
    family = "sequence"
    limit = "sequence_limit"

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """Its number of frames, of which each is a row."""
        return (str(FRAMES),)

    def rows(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """All frames of each sample."""
        return tuple(frame_id(name, number) for name in sample_ids for number in range(FRAMES))

    def sample_of(self, row: str) -> str:
        """The sample that a frame is of."""
        return of_frame(row)[0]

    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """The frames that the batch's ids name, of the samples' pictures."""
        return [
            self.frames(
                picture,
                [of_frame(row)[1]],
                seed=address.seed,
                dataset=address.dataset,
                sample_id=self.sample_of(row),
            )[0]
            for picture, row in zip(batch.pictures, batch.ids, strict=True)
        ]

    def measure(
        self,
        classifier: Measurable,
        pictures: Sequence[np.ndarray],
        ids: Sequence[str],
        level: str,
        address: Address,
        rule: Any,
    ) -> Any:
        """Frames meet the evaluation noise of their picture, so that no flip is the noise's."""
        measured = classifier.measure(pictures, [self.sample_of(row) for row in ids], rule)
        traces = measured.traces and replace(measured.traces, ids=tuple(ids))
        return replace(measured, traces=traces)

    def frames(
        self,
        picture: np.ndarray,
        numbers: Sequence[int] = range(FRAMES),
        *,
        seed: int,
        dataset: str,
        sample_id: str,
    ) -> np.ndarray:
        """Some frames; each depends on the picture, its address and its number alone.

        Args:
            picture: uint8 RGB (H, W, 3).
            numbers: Of the frames, from 0, (T,).
            seed: Run seed.
            dataset: Name of the data set.
            sample_id: Of the picture.

        Returns:
            uint8 (T, H, W, 3).
        """
        found = np.empty((len(numbers), *picture.shape), np.uint8)
        for place, number in enumerate(numbers):
            constant = self.constants[number]
            if self.noise and number == 0:
                found[place] = picture
            elif self.noise:
                draws = [rng.generator(seed, dataset, sample_id, self.name, number)]
                found[place] = self.frame(picture[None], constant, draws)[0]
            else:
                found[place] = self.frame(picture[None], constant)[0]
        return found

    def parameters(self) -> dict[str, Any]:
        """What determines the pixels, and how frames are compared; for cell ids and reports."""
        constants = [round(constant, 9) for constant in self.constants]
        fixed = {"noise": self.noise, "version": self.version}
        return {"name": self.name, "frames": constants, **fixed}


def frame_id(sample_id: str, number: int) -> str:
    """What a frame of a sample is called in the rows of a store."""
    return f"{sample_id}#{number:02d}"


def of_frame(name: str) -> tuple[str, int]:
    """Sample id and number of a frame, from `frame_id`."""
    sample_id, _, number = name.rpartition("#")
    return sample_id, int(number)


def rotation(pictures: np.ndarray, degrees: float) -> np.ndarray:
    """Turn about the centre."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return _seen(pictures, lambda x, y: (c * x + s * y, c * y - s * x))


def shear(pictures: np.ndarray, degrees: float) -> np.ndarray:
    """Lean to the side, the middle row standing still."""
    slope = np.tan(np.radians(degrees))
    return _seen(pictures, lambda x, y: (x + slope * y, y))


def scale(pictures: np.ndarray, size: float) -> np.ndarray:
    """Make the face larger or smaller about the centre, 1 being as it was."""
    return _seen(pictures, lambda x, y: (x / size, y / size))


def translation(pictures: np.ndarray, share: float) -> np.ndarray:
    """Move to the right by a share of the width."""
    far = share * pictures.shape[2]
    return _seen(pictures, lambda x, y: (x - far, y))


def tilt(pictures: np.ndarray, degrees: float) -> np.ndarray:
    """Turn the picture, as a plane, about its vertical axis, seen from twice its width away."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    far = 2.0 * pictures.shape[2]

    def source(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        across = far * x / (far * c - s * x)
        return across, y * (far + s * across) / far

    return _seen(pictures, source)


_Map = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _seen(pictures: np.ndarray, source: _Map) -> np.ndarray:
    """Show at (x, y) from the centre what was at `source(x, y)`: bilinear, the edge repeated."""
    _, height, width, _ = pictures.shape
    y, x = np.indices((height, width), dtype=np.float64)
    across, down = source(x - (width - 1) / 2, y - (height - 1) / 2)
    # To 1/4096 of a pixel, so that rounding in cosines cannot move a pixel by one level.
    across = np.rint((across + (width - 1) / 2).clip(0, width - 1) * 4096) / 4096
    down = np.rint((down + (height - 1) / 2).clip(0, height - 1) * 4096) / 4096
    left, top = across.astype(np.intp), down.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    u, v = (across - left)[..., None], (down - top)[..., None]
    above = pictures[:, top, left] * (1 - u) + pictures[:, top, right] * u
    below = pictures[:, bottom, left] * (1 - u) + pictures[:, bottom, right] * u
    return np.asarray(np.rint(above * (1 - v) + below * v), np.uint8)


def _zoomed(pictures: np.ndarray, farthest: float) -> np.ndarray:
    """The mean of the picture and seven enlargements; the picture itself at 1."""
    return blur.zoom_blur(pictures, tuple(np.linspace(1.0, farthest, 8)))


def _steps(first: float, last: float) -> tuple[float, ...]:
    return tuple(float(value) for value in np.linspace(first, last, FRAMES))


def _noise(strength: float) -> tuple[float, ...]:
    return (0.0, *[strength] * (FRAMES - 1))


#: By name. Turns are those of RAF-DB-P, +-15 degrees; noise has the strength of RAF-DB-C's first
#: severity. Dark skin turns black long before light skin does, so brightness rises more than it
#: falls.
SEQUENCES: dict[str, PerturbationSequence] = {
    f"sequences.{name}": PerturbationSequence(f"sequences.{name}", frame, constants, noisy)
    for name, frame, constants, noisy in (
        ("rotation", rotation, _steps(-15, 15), False),
        ("shear", shear, _steps(-15, 15), False),
        ("scale", scale, _steps(0.8, 1.25), False),
        ("translation", translation, _steps(-0.15, 0.15), False),
        ("tilt", tilt, _steps(-15, 15), False),
        ("brightness", digital.brightness, _steps(-0.1, 0.3), False),
        ("gaussian_blur", blur.scaled_blur, _steps(0.5, 2.6), False),
        ("zoom_blur", _zoomed, _steps(1, 1.3), False),
        ("gaussian_noise", noise.white_noise, _noise(0.08), True),
        ("shot_noise", noise.shot_noise, _noise(60), True),
    )
}


# ------------------------------------------------------------------------------------------------
# Test-time augmentation (TTA): views of a picture that a classifier without steps averages over.
#
# It is as old as Krizhevsky et al. 2012 (NeurIPS, section 4.1: crops and mirror images,
# probabilities averaged). The ranges are small enough for a face to stay in its frame; they were
# set before any result was seen.


#: Raise when the same address gives another view.
VERSION = 1

SHIFT = 0.04  # of the side, at most
SCALE = 0.05  # larger or smaller, at most
ROTATION = 8.0  # degrees, at most


@dataclass(frozen=True)
class Views:
    """The first `count` views of every picture of a data set; fewer are a part of more.

    Attributes:
        count: V, at least 1. View 0 is the picture itself and view 1 its mirror image; the others
            are shifted, scaled and turned, and every second one is mirrored.
        seed: Of the run.
        dataset: Name of the data set.
    """

    count: int
    seed: int
    dataset: str

    @staticmethod
    def parameters() -> dict[str, Any]:
        """What determines a view besides its address."""
        return {"version": VERSION, "shift": SHIFT, "scale": SCALE, "rotation": ROTATION}

    def of(self, image: "Tensor", sample_id: str) -> "Tensor":
        """The views of a float32 image (3, H, W) in [0, 1]: (V, 3, H, W) of the same size."""
        import torch

        pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
        found = np.stack([self._view(pixels, sample_id, number) for number in range(self.count)])
        return torch.from_numpy(found).permute(0, 3, 1, 2).contiguous().to(image.device)

    def _view(self, pixels: np.ndarray, sample_id: str, number: int) -> np.ndarray:
        if number > 1:
            address = (self.seed, self.dataset, sample_id, "view", number)
            pixels = _moved(pixels, rng.generator(*address).uniform(-1.0, 1.0, 4))
        return pixels[:, ::-1] if number % 2 else pixels


@dataclass(frozen=True)
class Augmentation(Clean):
    """Test-time augmentation: clean test pictures, each measured in several views.

    Attributes:
        count: How many views.
    """

    count: int = 1
    family = "views"
    evaluation_fields = frozenset()

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """The number of views."""
        return (str(self.count),)

    def parameters(self) -> dict[str, Any]:
        """What determines the views."""
        return {"name": self.name, "views": Views.parameters()}

    def looks(self, level: str) -> int:
        """Every view is measured."""
        return int(level)

    @override
    def measure(
        self,
        classifier: Measurable,
        pictures: Sequence[np.ndarray],
        ids: Sequence[str],
        level: str,
        address: Address,
        rule: Any,
    ) -> Any:
        views = Views(int(level), address.seed, address.dataset)
        return classifier.measure_views(pictures, ids, views)


def _moved(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Shifted, scaled and turned about the centre by shares, in [-1, 1], of what is allowed."""
    height, width = pixels.shape[:2]
    centre = (width - 1) / 2, (height - 1) / 2
    transform = cv2.getRotationMatrix2D(
        centre, ROTATION * float(draws[0]), 1.0 + SCALE * float(draws[1])
    )
    transform[:, 2] += SHIFT * draws[2:] * (width, height)
    moved: np.ndarray = cv2.warpAffine(
        pixels, transform, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return moved
