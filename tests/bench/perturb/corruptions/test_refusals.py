from collections.abc import Callable

import numpy as np
import pytest

from bench.perturb.corruptions import blur, disk, noise
from bench.util import rng


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, d: noise.gaussian_noise(p, 0, d), "scale"),
        (lambda p, d: noise.gaussian_noise(p, 0.1, d * 2), "1 pictures but 2 generators"),
        (lambda p, d: noise.speckle_noise(p, float("nan"), d), "scale"),
        (lambda p, d: noise.shot_noise(p, -1, d), "photons"),
        (lambda p, d: noise.impulse_noise(p, 1.5, d), "share"),
        (lambda p, d: blur.gaussian_blur(p, 0), "sigma"),
        (lambda p, d: disk.defocus_blur(p, 0.5, 0.1), "radius"),
        (lambda p, d: blur.motion_blur(p, 0, 3, d), "radius"),
        (lambda p, d: blur.zoom_blur(p, [0.9]), "factors"),
        (lambda p, d: blur.glass_blur(p, 1, 0, 1, d), "max_delta"),
    ],
)
def test_constants_out_of_range_are_refused(call: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.zeros((1, 40, 48, 3), np.uint8), [rng.generator("refused")])
