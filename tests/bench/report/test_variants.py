"""Variants: which Base they have, and which seeds a comparison rests on."""

import numpy as np
import pytest
from ablation_store import OBJECTIVES, outcomes, stages

from bench.report.results import read
from bench.report.tables.ablation import VariantPair, base_of, variants


def test_a_base_has_the_same_budget_network_and_evaluation(build) -> None:
    def add(name: str, training: dict[str, object]) -> None:
        build.add(name, "clean", "0", [True] * 3, d_p=[0.5] * 3,
                  validation={"accuracy": 1.0}, training=training)  # fmt: skip

    base, amdit = OBJECTIVES["base"], OBJECTIVES["amdit"]
    add("short", stages(base))
    add("wide", stages(base, base) | {"block_out_channels": [64, 64, 64]})
    add("variant", stages(base, amdit))
    short, wide, variant = variants(read(build.plan()).groups[0])
    assert base_of(variant, [short, wide, variant]) is None
    add("equal", stages(base, base))
    found = variants(read(build.plan()).groups[0])
    by_name = {v.classifier: v for v in found}
    assert base_of(by_name["variant"], found) is by_name["equal"]
    assert base_of(by_name["equal"], found) is None


def test_pairs_use_the_seeds_of_both(build) -> None:
    for name, seeds in (("base", (0, 1)), ("amdit", (1, 2))):
        for seed in seeds:
            right, d_p = outcomes(name, seed)
            build.add(name, "clean", "0", right, d_p=d_p, seed=seed, validation={"accuracy": 1.0},
                      training=stages(OBJECTIVES["base"], OBJECTIVES[name]))  # fmt: skip
    base, amdit = variants(read(build.plan()).groups[0])
    pair = VariantPair(amdit, base)
    assert pair.seeds == [1]
    assert len(pair.p_values) == 1
    expected = np.mean(outcomes("amdit", 1)[0]) - np.mean(outcomes("base", 1)[0])
    assert pair.difference.value == pytest.approx(expected)
