"""Two made-up classifiers that `bench compare` is tried on."""

from pathlib import Path

import numpy as np

from bench.report.compare import compare, pair, sides

N = 60
CELLS = [("clean", "0"), ("noise", "1"), ("noise", "2"), ("blur", "1"), ("pgd", "1/255")]
SKILL = {"net": 0.6, "other": 0.8}


def outcomes(classifier: str, perturbation: str, severity: str, seed: int = 0) -> list[bool]:
    address = [ord(c) for c in f"{classifier}{perturbation}{severity}{seed}"]
    skill = SKILL[classifier] - 0.1 * (perturbation != "clean")
    return (np.random.default_rng(address).random(N) < skill).tolist()


def compared(first: str, second: str, out: Path):
    return {row.label: row for row in compare(pair(*sides(first, second, out)).pairs)}
