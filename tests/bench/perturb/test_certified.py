"""Certificates by randomised smoothing: the bound, a linear classifier's true radius, a run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm
from support import rows_of
from torch import nn

import bench
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier
from bench.config import parse
from bench.perturb.base import Address
from bench.perturb.certified import Certified, radius
from bench.report.results import read
from bench.report.write import write_report
from bench.store.store import Store
from bench.sweep.verify import verify
from bench.util import rng
from bench.util.errors import UserError
from bench.util.progress import Reporter
from emodc import EmoDC
from emodc.decisions.rules import SequentialTest

CPU, ADDRESS = torch.device("cpu"), Address(0, "made-up")
SIDE, SIGMA = 8, 0.1


class Plane(nn.Module):
    """Two classes on the sides of a plane, which lies `distance` away from a grey picture."""

    def __init__(self, distance: float) -> None:
        super().__init__()
        signs = torch.from_numpy(rng.generator("plane").choice([-1.0, 1.0], 3 * SIDE**2))
        self.normal = nn.Parameter((signs / signs.norm()).float())
        self.offset = distance - float(self.normal.detach().sum()) * 128 / 255

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        lead = images.flatten(1) @ self.normal + self.offset
        return torch.stack([lead, torch.zeros_like(lead)], dim=1)


def certified(distance: float, **fields: Any) -> tuple[int | None, float]:
    """The verdict on the grey picture, None for an abstention, and the radius."""
    classifier = DiscriminativeClassifier(Plane(distance), ("anger", "fear"), "digest", CPU)
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    own = Certified(**fields)
    found = own.measure(classifier, [grey], ["a"], own.level(SIGMA), ADDRESS, None)
    assert found.evaluations.tolist() == [own.samples + own.selection]
    [logits] = found.logits
    return (int(logits.argmax()) if logits.any() else None), float(logits.max())


@pytest.mark.parametrize("distance", [-0.15, -0.05, 0.05, 0.1, 0.15, 0.2])
def test_a_planes_certificate_is_below_its_distance_and_near(distance: float) -> None:
    fields = {"samples": 2000, "selection": 50, "alpha": 0.001}
    label, length = certified(distance, **fields)
    assert label == (0 if distance > 0 else 1)
    # Noise crosses the plane with probability Phi(-distance / sigma): the true radius is the
    # distance, and the bound is that of a binomial count.
    unlucky = int(binom.ppf(1e-4, 2000, norm.cdf(abs(distance) / SIGMA)))
    assert 0 < radius(unlucky, 2000, SIGMA, 0.001) <= length < abs(distance)
    assert length > abs(distance) - 0.03


def test_it_abstains_at_the_plane_and_a_little_beyond() -> None:
    assert certified(0.0, samples=500, selection=50) == (None, 0.0)
    assert certified(0.006, samples=500, selection=50) == (None, 0.0)
    label, length = certified(0.006, samples=8000, selection=400)
    assert label == 0
    assert 0 < length < 0.006


def test_the_bound_is_clopper_and_pearsons_one_sided() -> None:
    assert radius(100, 100, 0.5, 0.001) == pytest.approx(0.5 * norm.ppf(0.001 ** (1 / 100)))
    assert radius(50, 100, 0.5, 0.001) == radius(0, 100, 0.5, 0.001) == 0
    low = norm.cdf(radius(80, 100, 1.0, 0.01))
    assert binom.sf(79, 100, low) == pytest.approx(0.01)  # so many votes, or more


def test_a_coin_is_certified_as_rarely_as_alpha_says() -> None:
    votes = rng.generator("coin").binomial(200, 0.5, 50_000)
    wrong = {int(n): radius(int(n), 200, 1.0, 0.01) > 0 for n in np.unique(votes)}
    assert 0.001 < np.mean([wrong[int(n)] for n in votes]) <= 0.01


def test_copies_are_addressed_and_a_part_of_more() -> None:
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)

    def copies(own: Certified, name: str = "a", level: str = "0.25") -> np.ndarray:
        return np.concatenate([part for _, part in own._copies(picture, name, level, ADDRESS)])

    few, many = copies(Certified(60, 10)), copies(Certified(120, 10))
    assert np.array_equal(few, many[:70])
    assert np.std(few / 255.0) == pytest.approx(0.25, rel=0.1)
    assert len({copy.tobytes() for copy in many}) == 130
    assert not np.array_equal(few, copies(Certified(60, 10), "b"))
    assert not np.array_equal(few, copies(Certified(60, 10), level="0.5"))


def test_emodc_votes_with_the_noise_of_its_verdict(tiny_emodc: EmoDC) -> None:
    classifier = DiffusionClassifier(tiny_emodc, "digest", None, 2, CPU)
    picture = rng.generator("face").integers(0, 256, (32, 32, 3), np.uint8)
    own = Certified(samples=12, selection=4, alpha=0.2)
    found = own.measure(classifier, [picture], ["a"], "0.25", ADDRESS, None)
    noisy = [one for _, part in own._copies(picture, "a", "0.25", ADDRESS) for one in part]
    said = [int(classifier.measure([one], ["a"]).logits.argmax()) for one in noisy]
    chosen = int(np.bincount(said[:4]).argmax())
    expected = radius(said[4:].count(chosen), 12, 0.25, 0.2)
    assert found.logits[0, chosen] == pytest.approx(expected)
    assert found.evaluations[0] == 16 * classifier.evaluations
    early = own.measure(classifier, [picture], ["a"], "0.25", ADDRESS, SequentialTest(delta=0.2))
    assert early.evaluations[0] <= found.evaluations[0]


def content(**execution: Any) -> dict[str, Any]:
    net = {"kind": "python", "factory": "support:normalised", "class_order": "fer2013"}
    own = {"sigma": [0.25, 0.5], "samples": 12, "selection": 4, "alpha": 0.1}
    return {
        "data": {"kind": "faces", "train": 14, "val": 14, "test": 14},
        "validation": False,
        "classifiers": {
            "net": net,
            "tent": {"kind": "adapted", "classifier": net, "block": 7},
        },
        "perturbations": {"certified": own, "certified_limit": 9},
        "execution": {"workers": 1} | execution,
    }


def test_a_run_has_rows_a_table_and_a_curve(tmp_path: Path) -> None:
    bench.run(content(shards=1), out=tmp_path / "a", quiet=True)
    bench.run(content(shards=4, batch_size=2), out=tmp_path / "b", quiet=True)
    stores = [Store(tmp_path / name) for name in "ab"]
    cells = [cell for cell in stores[0].planned() if cell.family == "certified"]
    assert {(cell.classifier, cell.severity) for cell in cells} == {("net", "0.25"), ("net", "0.5")}
    for cell in cells:
        one, other = (rows_of(store, cell) for store in stores)
        assert len(one) == 9
        assert np.array_equal(np.stack(list(one["logits"])), np.stack(list(other["logits"])))
        assert list(one["prediction"].isna()) == [not row.any() for row in one["logits"]]
    report = write_report(tmp_path / "a").folder
    text = (report / "tables.md").read_text()
    assert "12 noisy copies of each picture after 4 that choose the class" in text
    assert "| abstains | r = 0 | r = 0.1 | r = 0.25 |" in text
    assert "certified" not in (report / "summary.csv").read_text()  # no accuracy among others
    assert list(report.glob("figures/*certified.png"))
    [group] = read(tmp_path / "a").groups
    assert len(group.certified) == 2
    found = verify(tmp_path / "a", Reporter(quiet=True), samples=60)
    assert not found.faults
    assert found.equal == found.checked


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"sigma": []}, "perturbations.certified.sigma"),
        ({"sigma": [0]}, "greater than 0"),
        ({"alpha": 0.7}, "less than 0.5"),
        ({"sample": 3}, "sample"),
    ],
)
def test_what_cannot_be_certified_is_told(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse({"classifiers": {}, "perturbations": {"certified": fields}}, "c")


def test_a_run_without_it_can_be_asked_for_it() -> None:
    config = parse({"classifiers": {"a": {"kind": "python", "factory": "a:b"}}}, "c")
    asked = config.select(perturbations=["certified"]).perturbations.members()
    assert [(one.name, levels) for one, levels in asked] == [
        ("clean", ("0",)), ("certified", ("0.25",))
    ]  # fmt: skip
