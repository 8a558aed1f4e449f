"""What a decision costs: the naive evaluation, fixed stages, and ours; ingredient by ingredient.

    python -m benchmarks.decisions [--checkpoint DIR] [--pictures 504] [--compile]

Test pictures of the drawn faces go block by block through all contestants, in one process and in
turns. The naive reference is written from the published description (Li et al. 2023, arXiv
2303.16203, alg. 1) and not with this project's batching: one picture at a time, class by class, the
whole network in float32, 32 (timestep, noise) pairs a pass, text encoded once. All contestants meet
the same noise. The gap profile is learned on validation pictures.

Printed per contestant: milliseconds per picture (median over blocks), ratio of time to the naive
reference (median over blocks of the ratio within a block), evaluations and network passes per
picture, accuracy and its difference from the naive reference's, agreement with the naive full
decision, and with the full decision under an independent bank of noise.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.classifiers.base import as_images
from bench.config import load
from bench.data.base import DataSet
from bench.data.open import open_dataset
from bench.stats import tango, wilson
from bench.util import runtime
from emodc import EmoDC, Evaluation
from emodc.decisions.decide import TIE, Rule, lowest, spread
from emodc.decisions.fit import GapProfile, gap_profile
from emodc.decisions.live import Engine
from emodc.decisions.rules import FullGrid, SequentialTest, Stages
from emodc.diffusion.noise import step_noise
from emodc.diffusion.noise_aware import covering_range, latent_noise, noised
from emodc.diffusion.schedule import timestep_grid

PAIRS = 32  # of timestep and noise, in a pass of the naive reference
CHECKPOINTS = Path("results/runs/robustness/checkpoints")

Outcome = tuple[np.ndarray, np.ndarray, np.ndarray]  # winners, evaluations, passes; (B,) each
Contestant = Callable[[Tensor, Sequence[str]], Outcome]


class Naive:
    """One picture at a time, class by class, the whole network, float32.

    Args:
        model: Whose networks, noise and timesteps are used.
        stages: Classes kept after so many steps; None measures all.
    """

    def __init__(self, model: EmoDC, stages: tuple[tuple[int, int], ...] | None = None) -> None:
        self.model, self.stages = model, stages or ((model.evaluation.steps, 1),)
        self.hidden = model.denoiser.encode_texts(model.prompts.texts()).hidden

    def __call__(self, images: Tensor, ids: Sequence[str]) -> Outcome:
        """Decide."""
        found = [self._one(image, name) for image, name in zip(images, ids, strict=True)]
        winners, evaluations = map(np.array, zip(*found, strict=True))
        return winners, evaluations, evaluations

    def _one(self, image: Tensor, name: str) -> tuple[int, int]:
        noisy, times, target = _pairs(self.model, image, name)
        errors = torch.full((len(self.model.classes), len(times)), torch.nan)
        order = torch.from_numpy(spread(len(times)))
        kept, start = list(range(len(errors))), 0
        for steps, keep in self.stages:
            part = order[start:steps]
            for c in kept:
                for rows in part.split(PAIRS):
                    prompt = self.hidden[c].expand(len(rows), -1, -1)
                    output = self.model.denoiser.network(noisy[rows], times[rows], prompt).sample
                    errors[c, rows] = (output - target[rows]).square().mean(dim=(1, 2, 3))
            means = errors[kept][:, order[:steps]].mean(dim=1)
            best = int(lowest(means.double().numpy()[None])[0])
            kept = [kept[i] for i in means.argsort()[:keep].tolist()]
            start = steps
        return (TIE if best == TIE else kept[0]), int(errors.isfinite().sum())


def _pairs(model: EmoDC, image: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, timesteps and noise to be predicted, of all steps of a picture."""
    plan, process = model.evaluation, model.denoiser.process
    own = latent_noise(model.denoiser, image) if plan.noise_aware else None
    times = timestep_grid(plan.steps, *covering_range(process, own, plan.low, plan.high))
    latent = model.denoiser.encode(image[None])
    noise = step_noise(plan.seed, name, range(plan.steps), tuple(latent.shape[1:]))
    rows = noised(process, latent, noise, times, own)
    return rows.noisy, times, rows.target


def one_by_one(model: EmoDC) -> Contestant:
    """The traces of the sweep: all steps of a picture in one pass of a shared trunk."""

    def run(images: Tensor, ids: Sequence[str]) -> Outcome:
        errors = model.trace(images, ids).errors.double()
        n, classes, steps = errors.shape
        winners = lowest(errors.mean(dim=2).numpy())
        return winners, np.full(n, classes * steps), np.full(n, steps)

    return run


def live(model: EmoDC, rule: Rule, engine: Engine) -> Contestant:
    """The live engine."""

    def run(images: Tensor, ids: Sequence[str]) -> Outcome:
        decisions = model.decide(images, ids, rule, engine=engine).decisions
        return decisions.winner, decisions.evaluations, decisions.steps

    return run


@dataclass
class Tally:
    """What was found of one contestant, block by block."""

    seconds: list[float] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def joined(self) -> Outcome:
        """Over all pictures."""
        winners, evaluations, passes = (np.concatenate(p) for p in zip(*self.outcomes, strict=True))
        return winners, evaluations, passes


def contestants(
    model: EmoDC, profile: GapProfile, delta: float, rows: int, compiled: bool
) -> dict[str, Contestant]:
    """By name, the naive reference first; each later ingredient is on top of the earlier ones."""
    exact = _under(replace(model.evaluation, precision="float32"), model)
    batches, fast = Engine(rows=rows), Engine(rows=rows, compile=True)
    test = SequentialTest(delta=delta, profile=profile)
    found: dict[str, Contestant] = {
        "naive, float32": Naive(exact),
        "naive, float32, fixed stages": Naive(exact, Stages().keep),
        "shared trunk, float32": one_by_one(exact),
        "+ bfloat16": one_by_one(model),
        "+ constant micro-batches": live(model, FullGrid(), batches),
        "+ channels_last": live(model, FullGrid(), replace(batches, channels_last=True)),
        "all steps, fixed stages": live(model, Stages(), batches),
        "sequential, no profile": live(model, replace(test, profile=None), batches),
        "sequential": live(model, test, batches),
    }
    if compiled:
        found["all steps, compiled"] = live(model, FullGrid(), fast)
        found["fixed stages, compiled"] = live(model, Stages(), fast)
        found["sequential, compiled"] = live(model, test, fast)
    return found


def race(
    entered: dict[str, Contestant], images: list[Tensor], ids: Sequence[str], block: int
) -> dict[str, Tally]:
    """All contestants over all blocks, in turns that begin with another one each time."""
    tallies = {name: Tally() for name in entered}
    names = list(entered)
    for name in names:  # compile, fetch memory
        entered[name](torch.stack(images[:block]), ids[:block])
    for number, start in enumerate(range(0, len(images), block)):
        batch, own = torch.stack(images[start : start + block]), ids[start : start + block]
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            begun = time.perf_counter()
            outcome = entered[name](batch, own)
            tallies[name].seconds.append((time.perf_counter() - begun) / len(batch))
            tallies[name].outcomes.append(outcome)
    return tallies


def table(
    tallies: dict[str, Tally], labels: np.ndarray, independent: np.ndarray
) -> list[tuple[str, ...]]:
    """One row per contestant."""
    reference = next(iter(tallies.values()))
    full = reference.joined()[0]
    header = ("contestant", "ms", "time ratio", "evaluations", "passes", "accuracy %")
    rows = [(*header, "difference", "agreement %", "independent noise %")]
    for name, tally in tallies.items():
        winners, evaluations, passes = tally.joined()
        pairs = zip(reference.seconds, tally.seconds, strict=True)
        ratio = statistics.median(naive / own for naive, own in pairs)
        rows.append(
            (
                name,
                f"{1e3 * statistics.median(tally.seconds):.1f}",
                f"{ratio:.1f}",
                f"{evaluations.mean():.1f}",
                f"{passes.mean():.1f}",
                _share(winners == labels),
                _difference(winners == labels, full == labels),
                _share(winners == full),
                _share(winners == independent),
            )
        )
    return rows


def _share(hits: np.ndarray) -> str:
    interval = wilson(hits.sum(), len(hits))
    return f"{100 * hits.mean():.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _difference(own: np.ndarray, reference: np.ndarray) -> str:
    interval = tango(int((own & ~reference).sum()), int((~own & reference).sum()), len(own))
    value = 100 * (own.mean() - reference.mean())
    return f"{value:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _under(evaluation: Evaluation, model: EmoDC) -> EmoDC:
    """The same networks under another evaluation."""
    return EmoDC(model.denoiser, model.prompts, evaluation).eval()


def _pictures(
    dataset: DataSet, split: str, count: int
) -> tuple[list[Tensor], list[str], list[str]]:
    """Images, ids and labels of the first `count` samples of a split."""
    samples = dataset.samples(split)[:count]
    images = [as_images([dataset.picture(sample)])[0] for sample in samples]
    return images, [sample.id for sample in samples], [sample.label for sample in samples]


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="an EmoDC with a shared trunk")
    parser.add_argument("--pictures", type=int, default=504)
    parser.add_argument("--block", type=int, default=24)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--delta", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler")
    options = parser.parse_args()
    runtime.keep_freed_memory()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    folder = options.checkpoint or max(CHECKPOINTS.glob("emodc-amdit-*"))
    model = EmoDC.from_pretrained(folder)
    model = _under(replace(model.evaluation, steps=100, noise_aware=True), model)
    config = load(Path("default.yaml"))
    dataset = open_dataset(config.data, config.seed)

    images, ids, _ = _pictures(dataset, "val", len(dataset.samples("val")))
    trace = model.decide(torch.stack(images), ids, FullGrid()).trace
    profile = gap_profile(trace.errors.numpy(), trace.timesteps.numpy())
    images, ids, names = _pictures(dataset, "test", options.pictures)
    entered = contestants(model, profile, options.delta, options.rows, options.compile)
    tallies = race(entered, images, ids, options.block)
    other = _under(replace(model.evaluation, seed=model.evaluation.seed + 1), model)
    independent = other.decide(torch.stack(images), ids, FullGrid()).decisions.winner
    labels = np.array([model.classes.index(name) for name in names])
    for row in table(tallies, labels, independent):
        print("{:30} {:>7} {:>10} {:>11} {:>7}  {:18} {:18} {:20} {}".format(*row))
    print(f"n = {len(images)}, delta {options.delta}, {options.threads} thread(s), {folder.name}")


if __name__ == "__main__":
    main()
