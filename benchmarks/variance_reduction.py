"""How much each way of reducing variance steadies a decision, and which evaluations it saves.

    python -m benchmarks.variance_reduction --checkpoint DIR --pictures 105

A decision rests on D, a rival's error minus the winner's, averaged over steps. For validation
pictures of drawn faces, clean, with gaussian noise and with blur (severity 3), it prints for each
ingredient, with percentile intervals of a bootstrap over pictures,

- variance: mean squared error of D estimated from a fifth of the steps, without the ingredient
  over with it; median over pictures and rivals;
- saved: evaluations of the sequential test, without over with it; of all pictures, and of the
  quarter with the smallest gap between the two best classes;
- evaluations of the test per picture; the shares of its decisions that agree with the full one, and
  with the full one under other noise of the same kind ("elsewhere").

Ratios above 1 are savings; "without" is the row named by `against`. What is learned (gap profile,
factor of the class effect) comes from the clean pictures of the other half. At the end stand full
decisions under two seeds of the noise: pairs of eps and -eps must not make them agree less. Without
a checkpoint that of the regression subset is measured: quick, but hardly trained.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.classifiers.base import as_images
from bench.data.drawn import DrawnFaces
from bench.perturb import CORRUPTIONS
from bench.stats import wilson
from bench.util import rng, runtime
from benchmarks.variance.banks import BANKS, SEEDS, Measured, measure
from benchmarks.variance.ingredients import DELTA, INGREDIENTS, ORDERS, outcome, winners
from emodc import EmoDC, Evaluation

REFERENCE = Path("results/regression/checkpoints/emodc_amdit")
CONDITIONS = {"clean": 0, "gaussian_noise": 3, "gaussian_blur": 3}
RESAMPLES = 500


def interval(statistic: Callable[[NDArray[np.intp]], float], count: int) -> str:
    """A statistic of pictures, with its percentile interval over them."""
    draws = rng.generator("variance reduction").integers(count, size=(RESAMPLES, count))
    low, high = np.quantile([statistic(draw) for draw in draws], [0.025, 0.975])
    return f"{statistic(np.arange(count)):6.2f} [{low:.2f}, {high:.2f}]".ljust(22)


def report(condition: str, found: Measured, clean: Measured) -> None:
    """Print the table of one condition."""
    count = len(found.ids)
    lowest = np.sort(found.errors["independent", SEEDS[0]].mean(axis=2), axis=1)
    gaps = lowest[:, 1] - lowest[:, 0]
    hard = gaps <= np.quantile(gaps, 0.25)
    print(
        f"\n{condition}, {count} pictures\n"
        f"{'ingredient':31s}{'against':23s}{'variance':23s}{'saved, all pictures':22s}"
        f"{'hard pictures':19s}{'evaluations':>11s}{'agrees':>9s}{'elsewhere':>11s}"
    )
    outcomes = {name: outcome(what, found, clean) for name, what in INGREDIENTS.items()}
    for name, what in INGREDIENTS.items():
        own, without = outcomes[name], outcomes[what.against]
        variance = without.squares / own.squares
        spent = np.stack([without.evaluations, own.evaluations])
        figures = (
            interval(lambda rows, v=variance: float(np.median(v[rows])), count),
            interval(lambda rows, e=spent: ratio(e[:, rows]), count),
            interval(lambda rows, e=spent[:, hard]: ratio(e[:, rows]), hard.sum()),
        )
        print(
            f"{name:30s} {what.against.strip():22s}{''.join(figures)}"
            f"{own.evaluations.mean():8.1f}{own.agreement.mean():9.4f}{own.elsewhere.mean():11.4f}"
        )
    report_full_decisions(found)


def ratio(pair: NDArray[np.float64]) -> float:
    """Of the means of the first and the second, (2, N)."""
    means = pair.mean(axis=1)
    return float(means[0] / means[1])


def report_full_decisions(found: Measured) -> None:
    """Print how far full decisions hang on the noise: two seeds of each bank."""
    count = len(found.ids)
    winner = winners(found.errors["independent", SEEDS[0]])[:, None]
    moved, same = {}, {}
    for bank in BANKS:
        one, other = (found.errors[bank, seed] for seed in SEEDS)
        change = (one - other).mean(axis=2)
        moved[bank] = ((change - np.take_along_axis(change, winner, axis=1)) ** 2).sum(axis=1)
        same[bank] = int((winners(one) == winners(other)).sum())
    print("full decisions of two seeds agree; variance of a full mean of D, independent over this")
    for bank in BANKS:
        within = wilson(same[bank], count)
        pair = np.stack([moved[BANKS[0]], moved[bank]])
        print(
            f"  {bank:28s} {same[bank]:4d} of {count} [{within.low:.3f}, {within.high:.3f}] "
            + interval(lambda rows, pair=pair: ratio(pair[:, rows]), count)
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=REFERENCE)
    parser.add_argument("--pictures", type=int, default=35, help="of the validation split")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    if options.pictures < 14 or options.steps < 20 or options.steps % 2:
        parser.error("it takes 14 pictures and an even number of steps, 20 or more")
    runtime.keep_freed_memory()
    torch.set_num_threads(1)
    model = EmoDC.from_pretrained(options.checkpoint)
    model.evaluation = Evaluation(steps=options.steps, noise_aware=True)
    dataset = DrawnFaces({"train": 0, "val": options.pictures, "test": 0})
    samples = dataset.samples("val")
    ids = [sample.id for sample in samples]
    drawn = dataset.pictures("val")
    print(f"{options.checkpoint}, {options.steps} steps, delta {DELTA}, {ORDERS} orders")
    clean = None
    for corruption, severity in CONDITIONS.items():
        pictures = drawn
        if severity:
            pictures = CORRUPTIONS[corruption].batch(
                drawn, severity, seed=0, dataset=dataset.name, sample_ids=ids
            )
        found = measure(model, as_images(pictures), ids)
        clean = clean or found
        report(f"{corruption} {severity}" if severity else corruption, found, clean)


if __name__ == "__main__":
    main()
