"""Ten corruptions against imagecorruptions: the same bytes, or the same distribution."""

import importlib.util

import numpy as np
import pytest
from kernel_families import FROM_THE_PACKAGE, corrupted, is_random, scene

from bench.perturb.corruptions import weather
from bench.util import rng
from bench.util.errors import UserError

package = pytest.importorskip("imagecorruptions")
DETERMINISTIC = [name for name in FROM_THE_PACKAGE if not is_random(name)]
RANDOM = [name for name in FROM_THE_PACKAGE if is_random(name) and name != "frost"]


def reference(name: str, picture: np.ndarray, severity: int) -> np.ndarray:
    result = package.corrupt(picture, severity=severity, corruption_name=name)
    return np.asarray(result)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_bytes_are_the_same(name: str, severity: int) -> None:
    draws = rng.generator("parity", name, severity)
    for shape in ((32, 32), (64, 48), (57, 101), (51, 68), (112, 112)):
        pictures = np.stack(
            [
                draws.integers(0, 256, (*shape, 3), dtype=np.uint8),
                np.broadcast_to(draws.integers(0, 256, 3, dtype=np.uint8), (*shape, 3)),
                (draws.integers(0, 8, (*shape, 3)) * 36).astype(np.uint8),
                draws.integers(0, 256, (*shape, 1), dtype=np.uint8).repeat(3, axis=-1),
                scene(*shape),
            ]
        )
        for picture, result in zip(pictures, corrupted(name, pictures, severity), strict=True):
            np.testing.assert_array_equal(result, reference(name, picture, severity))


def statistics(pictures: np.ndarray) -> np.ndarray:
    """Per picture: mean, spread, quantiles, and correlations at 1 and 4 pixels, (N, 11)."""
    values = pictures.astype(float)
    quantiles = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95), axis=(1, 2, 3)).T
    grey = values.mean(axis=3)
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    power = (grey**2).mean(axis=(1, 2))
    near = [(grey[:, lag:] * grey[:, :-lag]).mean(axis=(1, 2)) / power for lag in (1, 4)]
    near += [(grey[:, :, lag:] * grey[:, :, :-lag]).mean(axis=(1, 2)) / power for lag in (1, 4)]
    moments = np.stack([values.mean((1, 2, 3)), values.std((1, 2, 3)), *near], axis=1)
    return np.concatenate([moments, quantiles], axis=1)


def differences(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Of the means of statistics, in standard errors."""
    variance = ours.var(axis=0) / len(ours) + theirs.var(axis=0) / len(theirs)
    difference: np.ndarray = (ours.mean(axis=0) - theirs.mean(axis=0)) / np.sqrt(variance + 1e-7)
    return difference


@pytest.mark.parametrize("name", RANDOM)
def test_distributions_are_the_same(name: str) -> None:
    """Eleven statistics of each severity agree; those of the next severity do not."""
    picture, count = scene(48, 64), 400 if name == "fog" else 100
    batch = np.stack([picture] * count)
    np.random.seed(1)  # noqa: NPY002
    theirs = [
        statistics(np.stack([reference(name, picture, severity) for _ in range(count)]))
        for severity in (1, 3, 5)
    ]
    ours = [statistics(corrupted(name, batch, severity)) for severity in (1, 3, 5)]
    for mine, other in zip(ours, theirs, strict=True):
        assert np.abs(differences(mine, other)).max() < 4.5
    for mine, other in zip(ours, theirs[1:], strict=False):
        assert np.abs(differences(mine, other)).max() > 4.5


def test_frost_is_the_package_s_at_the_place_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = scene(64, 80)
    for number in range(6):
        photograph = weather.frost_photograph(number, 64, 80)
        places = iter((number, 7, 11))
        monkeypatch.setattr("numpy.random.randint", lambda *_, at=places: next(at))
        monkeypatch.setattr(
            weather,
            "uniforms",
            lambda *_, n=number, p=photograph: np.array(
                ((n + 0.5) / 6, 7.5 / (p.shape[0] - 64), 11.5 / (p.shape[1] - 80))
            ),
        )
        severity = 1 + number % 5
        expected = reference("frost", picture, severity)
        np.testing.assert_array_equal(corrupted("frost", picture[None], severity)[0], expected)


def test_frost_shows_every_photograph_and_place() -> None:
    draws = [rng.generator("frost", number) for number in range(600)]
    black = np.zeros((600, 32, 32, 3), np.uint8)
    result = weather.frost(black, keep=1.0, frost_share=1.0, draws=draws)
    assert len(np.unique(result.reshape(600, -1), axis=0)) > 595


def test_without_the_package_frost_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    weather._frost_photograph.cache_clear()
    with pytest.raises(UserError, match="pip install --no-deps imagecorruptions-imaug"):
        corrupted("frost", scene(32, 32)[None], 1)


def test_spatter_without_a_drop_changes_nothing() -> None:
    draws = [rng.generator("dry")]
    constants = {"mean": 0.1, "scale": 0.1, "sigma": 4, "threshold": 0.69, "amount": 0.6}
    picture = scene(32, 32)[None]
    result = weather.spatter(picture, liquid="water", draws=draws, **constants)
    assert np.abs(result.astype(int) - picture).max() <= 1
