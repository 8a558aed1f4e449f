"""`benchmarks.decisions` on a tiny network: contestants agree where they must."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emodc import EmoDC
from emodc.decisions.fit import GapProfile


def test_contestants_agree_with_the_naive_reference(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    from benchmarks import decisions

    with torch.no_grad():
        model = decisions._under(replace(tiny_emodc.evaluation, steps=100), tiny_emodc)
        flat = GapProfile((0.0, 1000.0), (1.0,))
        entered = decisions.contestants(model, flat, delta=0.01, rows=8, compiled=False)
        pictures, ids = list(images[:2].float() / 255), ["a", "b"]
        tallies = decisions.race(entered, pictures, ids, block=1)
    found = {name: tally.joined() for name, tally in tallies.items()}
    full, stages = found["naive, float32"], found["naive, float32, fixed stages"]
    assert (full[0] >= 0).all() and (full[1] == 300).all()
    for name in ("shared trunk, float32", "+ bfloat16", "+ constant micro-batches"):
        np.testing.assert_array_equal(found[name][:2], full[:2], err_msg=name)
    np.testing.assert_array_equal(found["all steps, fixed stages"][:2], stages[:2])
    assert (stages[1] == 3 * 50 + 2 * 50).all()
    assert (found["sequential"][1] <= 300).all() and found["sequential"][2].max() <= 100

    header, first, *others = decisions.table(tallies, labels=full[0], independent=1 - full[0])
    assert len(others) == len(entered) - 1 and {len(row) for row in others} == {len(header)}
    cells = dict(zip(header, first, strict=True))
    assert cells["time ratio"] == "1.0" and cells["evaluations"] == "300.0"
    assert cells["accuracy %"].startswith("100.0 [") and cells["difference"].startswith("+0.0 [")
    assert cells["agreement %"].startswith("100.0 [")


def test_a_share_has_its_interval() -> None:
    from benchmarks import decisions

    assert decisions._share(np.array([True] * 9 + [False])) == "90.0 [59.6, 98.2]"
    lost = decisions._difference(np.array([False, True]), np.array([True, True]))
    assert lost.startswith("-50.0 [") and pytest.approx(-50) == float(lost.split()[0])
