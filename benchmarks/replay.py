"""How long does it take to replay every rule on traces of RAF-DB's test set?

python benchmarks/replay.py [--pictures 3068] [--classes 7] [--steps 100]

The traces are made up: gaps fall with the timestep, and one picture in four is nearly a tie, for
which rules take longest. Prints seconds per rule, the total, and the peak memory.
"""

import argparse
import resource
import time

import numpy as np
from numpy.typing import NDArray

from emodc.decisions.decide import Rule, decide
from emodc.decisions.rules import (
    FullGrid,
    MajorityVote,
    PairedTTest,
    SequentialTest,
    Stages,
    Threshold,
    relative_gaps,
)


class Falling:
    """Gaps that fall 14-fold over the timesteps 0 to 500."""

    def at(self, timesteps: NDArray[np.integer]) -> NDArray[np.floating]:
        """The profile of how telling each timestep is, which a rule visits by."""
        gaps = 14.0 ** (-timesteps / 500)
        relative: NDArray[np.floating] = gaps / gaps.mean(axis=1, keepdims=True)
        return relative


def traces(pictures: int, classes: int, steps: int) -> tuple[NDArray, NDArray]:
    """Errors float32 (N, K, S) and timesteps (N, S)."""
    draw = np.random.default_rng(0)
    timesteps = np.tile(np.linspace(2, 497, steps).astype(np.int64), (pictures, 1))
    apart = draw.exponential(0.02, (pictures, classes))
    apart[::4] *= 0.05
    cells = apart[:, :, None] + 0.005 * draw.normal(size=(pictures, classes, steps))
    errors = 0.3 + cells * relative_gaps(Falling(), timesteps)[:, None]
    return errors.astype(np.float32), timesteps


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=3068)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100)
    asked = parser.parse_args()
    errors, timesteps = traces(asked.pictures, asked.classes, asked.steps)
    ids = [f"test_{i:04}" for i in range(asked.pictures)]
    profile = Falling()
    bound = float(np.ptp(errors / relative_gaps(profile, timesteps)[:, None], axis=1).max())
    rules: dict[str, Rule] = {
        "full grid": FullGrid(),
        "25 steps": FullGrid(count=25),
        "stages": Stages(),
        "paired t-test": PairedTTest(),
        "threshold": Threshold(margin=0.01),
        "majority vote": MajorityVote(),
        "sequential, student": SequentialTest(profile=profile),
        "sequential, random order": SequentialTest(profile=profile, order="random"),
        "sequential, bounded": SequentialTest(kind="bounded", profile=profile, bound=bound),
    }
    full, total = errors.mean(axis=2, dtype=np.float64).argmin(axis=1), 0.0
    print(f"{'rule':26}{'seconds':>8}{'agreement':>11}{'evaluations':>13}")
    for name, rule in rules.items():
        start = time.perf_counter()
        decided = decide(errors, timesteps, rule, ids)
        seconds = time.perf_counter() - start
        total += seconds
        agreement = (decided.winner == full).mean()
        print(f"{name:26}{seconds:8.2f}{agreement:11.4f}{decided.evaluations.mean():13.1f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{'total':26}{total:8.2f}   peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
