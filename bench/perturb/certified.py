"""Randomised smoothing: how far a picture may be changed before its smoothed verdict can change.

The smoothed classifier answers with the class that the classifier names most often under Gaussian
noise of standard deviation sigma. If the most frequent class has at least the probability p > 1/2,
no change of an L2 length below sigma * Phi^-1(p) gives another answer (Cohen et al. 2019, arXiv
1902.02918). p is bounded from below by counting, so a certificate is wrong with a probability of
at most alpha. Lengths are of pictures at native size on [0, 1].

Noise is drawn by address, so certificates can be repeated; it is added before a picture becomes 8
bits, clipped and rounded, as all pictures of the bench: that is a part of the classifier.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri
from typing_extensions import override

from bench.perturb.base import Address, Batch, Measurable, Perturbation
from bench.perturb.corruptions.noise import white_noise
from bench.stats.proportions import clopper_pearson
from bench.util import rng

_TOGETHER = 50  # noisy copies that are held at once


def radius(votes: int, samples: int, sigma: float, alpha: float) -> float:
    """The certified L2 radius; 0 where there is none.

    Args:
        votes: Noisy copies that were given the class, of `samples`; it was chosen on others.
        samples: How many were judged.
        sigma: Of the noise.
        alpha: Probability that the certificate is wrong, at most.
    """
    # One-sided: the other end of the two-sided interval is not used.
    low = clopper_pearson(votes, samples, 1 - 2 * alpha).low
    return max(0.0, sigma * float(ndtri(low)))


@dataclass(frozen=True)
class Certified(Perturbation):
    """Certificates of clean pictures; a level is the sigma of the noise.

    A row's prediction is the smoothed classifier's, or none where it abstains. Its logits are the
    certified radius for that class, and 0 for others.

    Attributes:
        samples: Noisy copies that the probability is estimated from.
        selection: Others before, that the class is chosen by.
        alpha: Probability that a picture's certificate is wrong, at most.
    """

    samples: int = 1000
    selection: int = 100
    alpha: float = 0.001
    name: str = "certified"
    family = "certified"
    limit = "certified_limit"

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """One of those that papers have."""
        return ("0.25",)

    @override
    def level(self, asked: Any) -> str:
        return f"{float(asked):g}"

    def parameters(self) -> dict[str, Any]:
        """Its fields."""
        own = {"samples": self.samples, "selection": self.selection, "alpha": self.alpha}
        return {"name": self.name, "version": 1} | own

    def looks(self, level: str) -> int:
        """All noisy copies."""
        return self.selection + self.samples

    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """The pictures themselves: noise is added while they are measured."""
        return list(batch.pictures)

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
        sigma, count = float(level), len(pictures)
        said: Any = None
        logits = np.zeros((count, len(classifier.classes)), np.float32)
        evaluations, seconds = np.zeros(count, np.int64), np.zeros(count)
        for row, (picture, name) in enumerate(zip(pictures, ids, strict=True)):
            votes = np.zeros((2, len(classifier.classes)), np.int64)
            for number, noisy in self._copies(picture, name, level, address):
                # All under one name, so that a classifier's own noise is that of its verdict.
                said = classifier.measure(noisy, [name] * len(noisy), rule)
                evaluations[row] += int(said.evaluations.sum())
                seconds[row] += float(said.seconds.sum())
                for place, own in enumerate(said.logits, number):
                    best = np.flatnonzero(own == own.max())
                    if len(best) == 1:  # a tie is nobody's vote
                        votes[int(place >= self.selection), best[0]] += 1
            chosen = int(votes[0].argmax())
            found = radius(int(votes[1, chosen]), self.samples, sigma, self.alpha)
            # Never above the bound, whatever 32 bits make of it.
            logits[row, chosen] = max(0.0, np.nextafter(np.float32(found), np.float32(0)))
        own = {"evaluations": evaluations, "seconds": seconds}
        return replace(said, logits=logits, traces=None, means=None, **own)

    def _copies(
        self, picture: np.ndarray, name: str, level: str, address: Address
    ) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Noisy copies, some at a time, and the number of the first."""
        total = self.looks(level)
        for start in range(0, total, _TOGETHER):
            numbers = range(start, min(start + _TOGETHER, total))
            draws = [
                rng.generator(address.seed, address.dataset, name, self.name, level, number)
                for number in numbers
            ]
            copies = np.broadcast_to(picture, (len(numbers), *picture.shape))
            yield start, list(white_noise(copies, float(level), draws))
