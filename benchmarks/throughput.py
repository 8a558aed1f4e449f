"""What the bench adds to a network: evaluation and PGD of a ResNet-18 at 224 px.

    python -m benchmarks.throughput [--pictures 16] [--rounds 5]

A shard's work as a worker does it (pictures drawn, perturbed, measured, rows made) against a plain
PyTorch loop over the same pictures, which are there already. On a CPU both go picture by picture,
in one thread. They take turns in one process; the ratio is the median over rounds, with the lowest
and the highest. Times are of the processor, so that other work on the machine counts little.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.classifiers.networks import PreparedNetwork
from bench.config import parse
from bench.data.open import open_dataset
from bench.sweep.plan import make_plan
from bench.sweep.run import given_weights
from bench.sweep.worker import Worker
from bench.util import rng, runtime

STEPS, EPS = 10, 4 / 255


def evaluate(network: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many are right, picture by picture."""
    with torch.no_grad():
        return sum(
            int(network(image[None]).argmax()) == int(label)
            for image, label in zip(images, labels, strict=True)
        )


def attack(network: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many are right after PGD, picture by picture."""
    right = 0
    for image, label in zip(images, labels, strict=True):
        clean, truth = image[None], label[None]
        moved = (clean + torch.empty_like(clean).uniform_(-EPS, EPS)).clamp(0, 1)
        for _ in range(STEPS):
            moved = moved.detach().requires_grad_()
            loss = nn.functional.cross_entropy(network(moved), truth)
            (gradient,) = torch.autograd.grad(loss, moved)
            moved = moved.detach() + EPS / 4 * gradient.sign()
            moved = (clean + (moved - clean).clamp(-EPS, EPS)).clamp(0, 1)
        with torch.no_grad():
            right += int(network(moved).argmax()) == int(label)
    return right


def main() -> None:
    """Measure both, and print milliseconds per picture and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=16, help="at least 7")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    runtime.keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch, runtime.one_thread():
        file = Path(scratch) / "net.safetensors"
        with rng.fenced("throughput"):
            save_file(timm.create_model("resnet18", num_classes=7).state_dict(), file)
        content = {
            "validation": False,
            "data": {"kind": "faces", "train": 14, "val": 14, "test": asked.pictures},
            "classifiers": {
                "net": {
                    "kind": "timm",
                    "model": "resnet18",
                    "checkpoint": str(file),
                    "classes": "raf_db",
                }
            },
            "perturbations": {"attacks": {"pgd": [4]}},
            "execution": {"device": "cpu", "workers": 1},
        }
        config = parse(content, "benchmark")
        dataset = open_dataset(config.data, config.seed)
        worker = Worker(config, dataset, Path(scratch) / "out", {})
        plan = {p.cell.family: p for p in make_plan(config, dataset, given_weights(config))}
        classifier = worker.classifier("net", config.seed)
        network = classifier.attack_target("")
        assert isinstance(network, PreparedNetwork) and network.inputs.size == (224, 224)
        samples = dataset.samples("test")
        pictures = torch.stack([torch.from_numpy(dataset.picture(one).copy()) for one in samples])
        images = pictures.permute(0, 3, 1, 2).float() / 255
        labels = torch.tensor([classifier.classes.index(one.label) for one in samples])
        for planned, loop in ((plan["clean"], evaluate), (plan["attack"], attack)):
            contestants: dict[str, Callable[[], object]] = {
                "plain": partial(loop, network, images, labels),
                "bench": partial(worker.rows, planned, planned.sample_ids),
            }
            compare(planned.cell.family, contestants, asked.pictures, asked.rounds)


def compare(
    title: str, contestants: dict[str, Callable[[], object]], pictures: int, rounds: int
) -> None:
    """Print processor milliseconds per picture, and the bench's over the plain loop's."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):  # the first warms up
        for name, work in contestants.items():
            start = time.process_time()
            work()
            if turn:
                times[name].append(1e3 * (time.process_time() - start) / pictures)
    ratios = sorted(b / a for a, b in zip(times["plain"], times["bench"], strict=True))
    each = ", ".join(f"{name} {statistics.median(own):.1f} ms" for name, own in times.items())
    median = statistics.median(ratios)
    print(f"{title}: {each}; ratio {median:.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


if __name__ == "__main__":
    main()
