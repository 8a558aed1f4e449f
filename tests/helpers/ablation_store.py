"""A made-up ablation as a store, for the tests of its report."""

from pathlib import Path

import numpy as np

from bench.store.cells import Gate
from bench.util import rng

SEEDS = (0, 1, 2)
N = 60
OBJECTIVES = {
    "base": {"kind": "base"},
    "hard": {"kind": "hard_negative", "weight": 8.0, "negatives": "all", "limit": None},
    "margin_small": {"kind": "margin", "weight": 8.0, "margin": 0.03, "reduce": "mean"},
    "margin_large": {"kind": "margin", "weight": 8.0, "margin": 0.3, "reduce": "hardest"},
    "amdit": {"kind": "amdit", "weight": 8.0, "alpha": 0.2, "c_nn": "positive",
              "detach_margin": True},
    "amdit_null": {"kind": "amdit", "weight": 8.0, "alpha": 0.2, "c_nn": "null"},
}  # fmt: skip
SKILL = {"base": 0.3, "hard": 0.5, "margin_small": 0.8, "margin_large": 0.9, "amdit": 0.83,
         "amdit_null": 0.31}  # fmt: skip
VALIDATION = {name: skill - 0.01 for name, skill in SKILL.items()} | {"margin_large": 0.99}
GATE_FAILS = {"margin_large": 1}  # how many seeds, judged by the Base of equal budget


def stages(*objectives: dict[str, object], steps: int = 10) -> dict[str, object]:
    return {
        "kind": "emodc",
        "stages": [{"objective": o, "steps": steps, "batch_size": 4} for o in objectives],
        "seconds": 12.0,
    }


def outcomes(name: str, seed: int) -> tuple[list[bool], list[float]]:
    """Right or wrong, and d_p, of every picture: pictures and seeds differ in difficulty."""
    draws, own = rng.generator("pictures"), rng.generator(name, seed)
    ease = draws.normal(0, 0.15, N) + 0.02 * seed
    right = own.random(N) < np.clip(SKILL[name] + ease, 0, 1)
    d_p = (0.3 + 0.05 * draws.random(N)) * (1 + 0.2 * SKILL[name] * (name != "base"))
    return right.tolist(), d_p.astype(np.float32).tolist()


def gate_of(name: str, seed: int) -> Gate:
    """As training knows it: beside the first stage, which is so bad that all pass."""
    fails = seed < GATE_FAILS.get(name, 0)
    d_p = 0.3 if name == "base" else 0.37 if fails else 0.35
    return Gate(passed=True, d_p=d_p, base_d_p=0.33)


def fill(build) -> Path:
    """A store with every variant and seed, and a baseline."""
    for name, objective in OBJECTIVES.items():
        for seed in SEEDS:
            right, d_p = outcomes(name, seed)
            build.add(
                name,
                "clean",
                "0",
                right,
                d_p=d_p,
                seed=seed,
                gate=gate_of(name, seed),
                validation={"accuracy": VALIDATION[name] + 0.001 * seed, "d_p": 0.3},
                training=stages(OBJECTIVES["base"], objective) | {"seed": seed},
            )
    build.add("net", "clean", "0", [True] * N, training={"kind": "baseline", "seconds": 1.0})
    return build.plan()


def column(spec, title: str) -> dict[str, object]:
    at = spec.header.index(title)
    return {str(row[0]).split(" ")[0]: row[at] for row in spec.rows}


def grid(name: str, what: int) -> np.ndarray:
    return np.array([outcomes(name, seed)[what] for seed in SEEDS], dtype=float)
