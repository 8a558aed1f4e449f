import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_cells import IGNORES, inputs_of, make_cell

from bench.stats import wilson
from bench.store.cells import Manifest
from bench.store.checkpoints import (
    GATE_FACTOR,
    Bases,
    Card,
    conditioning_check,
    fingerprint,
    judge,
)
from bench.util import rng
from bench.util.errors import UserError


@pytest.mark.parametrize(
    ("d_p", "base", "passed"),
    [(0.40, 0.40, True), (0.48, 0.40, True), (0.4801, 0.40, False), (0.1, None, False)],
)
def test_the_gate(d_p: float, base: float | None, passed: bool) -> None:
    assert GATE_FACTOR == 1.2
    assert judge(d_p, base).passed is passed


def manifest_of(
    name: str, seed: int, d_p: float, *objectives: str, first_d_p: float | None = None, **other: Any
) -> Manifest:
    """Of an EmoDC's clean cell. `other` are fields of its training; `data` is what it is about."""
    cell = make_cell(name, "clean", "0", "faces", seed)
    stages = [{"objective": {"kind": kind}, "steps": 1000, "batch_size": 64} for kind in objectives]
    training = {"kind": "emodc", "seed": seed, "precision": "float32", "stages": stages}
    data = {"data": other.pop("data", "d1")}
    return Manifest(
        cell=cell, classes=["a", "b"], n=1, shards=1, checkpoint=f"{name}-{seed}",
        gate=judge(d_p, first_d_p), timesteps=[1], validation={"d_p": d_p},
        training=training | {"seconds": d_p} | other, inputs=inputs_of(cell, data), environment={},
    )  # fmt: skip


def test_a_margin_passes_by_the_first_stage_and_fails_by_the_base_of_equal_budget() -> None:
    """The first stage has had fewer steps, so its d_p is 7 % worse than that of such a Base."""
    manifests, verdicts = [], {}
    for name, last, d_p in (("emodc_base", "base", 0.220), ("emodc_margin_06", "margin", 0.270),
                            ("emodc_amdit_01", "amdit", 0.250)):  # fmt: skip
        for seed in range(3):
            own = manifest_of(name, seed, d_p, "base", last, first_d_p=1.07 * 0.220)
            assert own.gate is not None and own.gate.passed
            manifests.append(own)
    bases = Bases(manifests)
    for own in manifests:
        gate = bases.judged(own).gate
        verdicts.setdefault(own.cell.classifier, []).append((gate.passed, gate.reference))
    assert verdicts == {
        "emodc_base": [(True, "itself")] * 3,
        "emodc_margin_06": [(False, "equal_budget")] * 3,
        "emodc_amdit_01": [(True, "equal_budget")] * 3,
    }


@pytest.mark.parametrize(
    "base",
    [
        manifest_of("base", 1, 0.2, "base", "base"),
        manifest_of("base", 0, 0.2, "base"),
        manifest_of("base", 0, 0.2, "base", "base", "base"),
        manifest_of("base", 0, 0.2, "hard_negative", "base"),
        manifest_of("base", 0, 0.2, "base", "base", kind="control"),
        manifest_of("base", 0, 0.2, "base", "base", network="other"),
        manifest_of("base", 0, 0.2, "base", "base", precision="bfloat16"),
        manifest_of("base", 0, 0.2, "base", "base", data="d2"),
        None,
    ],
    ids=["seed", "fewer steps", "more steps", "objective", "control", "network", "precision",
         "data", "none"],
)  # fmt: skip
def test_without_a_base_of_equal_budget_the_first_stage_judges(base: Manifest | None) -> None:
    own = manifest_of("amdit", 0, 0.26, "base", "amdit", first_d_p=0.23)
    assert Bases([own, base]).judged(own) == own
    assert own.gate is not None and (own.gate.passed, own.gate.reference) == (True, "first_stage")


def test_which_base_judges_does_not_hang_on_the_order_of_training() -> None:
    own = manifest_of("amdit", 0, 0.26, "base", "amdit", first_d_p=0.23)
    base = manifest_of("base", 0, 0.2, "base", "base", trained_with=["fog"], seconds=9.0)
    other = manifest_of("faster", 0, 0.25, "base", "base")
    for stage in other.training["stages"]:  # as many pictures in fewer steps
        stage.update(steps=500, batch_size=128)
    for known in ([base, other, own], [own, other, base]):
        gate = Bases(known).judged(own).gate
        assert gate is not None and (gate.passed, gate.base_d_p) == (False, 0.2)
    gate = Bases([own, other]).judged(own).gate
    assert gate is not None and (gate.passed, gate.base_d_p) == (True, 0.25)


def test_judging_keeps_the_conditioning_and_what_is_no_emodc() -> None:
    base = manifest_of("base", 0, 0.2, "base", "base")
    own = manifest_of("amdit", 0, 0.26, "base", "amdit", first_d_p=0.23)
    assert own.gate is not None
    own = own.model_copy(update={"gate": own.gate.model_copy(update={"conditioning": IGNORES})})
    gate = Bases([base]).judged(own).gate
    assert gate is not None and gate.conditioning == IGNORES
    net = own.model_copy(update={"gate": None, "training": {}})
    assert Bases([base]).judged(net) == net


def errors_of(accuracy: float, gap: float, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Errors of three classes: so many right, d_n - d_p on average, and noise across pictures."""
    draws = rng.generator("conditioning")
    labels = np.arange(n) % 3
    errors = draws.normal(0.3, 0.1, (n, 1)) + np.zeros((1, 3))
    rows = np.arange(n)
    right = rows < accuracy * n
    errors[rows, (labels + np.where(right, 0, 1)) % 3] -= 1e-6
    errors[rows, labels] -= gap * draws.normal(1.0, 0.5, n) * right - 1e-7 * right
    return errors, labels


@pytest.mark.parametrize(
    ("accuracy", "gap", "passed"),
    [(0.6, 1e-3, True), (0.36, 1e-3, False), (0.6, -1e-3, False), (0.0, 0.0, False)],
    ids=["both", "accuracy within chance", "right prompts are worse", "neither"],
)
def test_the_conditioning_check(accuracy: float, gap: float, passed: bool) -> None:
    found = conditioning_check(*errors_of(accuracy, gap))
    assert found.passed is passed
    assert found.gap_low < found.gap < found.gap_high


def test_the_conditioning_check_is_paired_and_counts_ties_as_errors() -> None:
    errors, labels = errors_of(0.6, 1e-3)
    found = conditioning_check(errors, labels)
    assert found.n == 200 and found.chance == pytest.approx(67 / 200)
    assert found.accuracy_low == wilson(round(200 * found.accuracy), 200).low
    # What pictures have in common over their prompts is no noise of the difference.
    shifted = conditioning_check(errors + 100 * np.arange(200)[:, None], labels)
    assert shifted.gap_low == pytest.approx(found.gap_low, rel=1e-6)
    ties = conditioning_check(np.ones((200, 3)), labels)
    assert (ties.accuracy, ties.gap, ties.passed) == (0.0, 0.0, False)


def write(folder: Path) -> Card:
    (folder / "sub").mkdir()
    (folder / "sub" / "weights").write_bytes(b"12345")
    card = Card(
        kind="baseline", recipe={"a": 1}, weights=fingerprint(folder), validation={}, gate=None,
        seconds=1.0,
    )  # fmt: skip
    card.write(folder)
    return card


def test_a_card_vouches_for_the_files(tmp_path: Path) -> None:
    card = write(tmp_path)
    assert Card.verified(tmp_path) == card
    (tmp_path / "sub" / "weights").write_bytes(b"12346")
    with pytest.raises(UserError, match="damaged") as caught:
        Card.verified(tmp_path)
    assert caught.value.exit_code == 1


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no readable bench\.json"):
        Card.verified(tmp_path)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.update(gate={"passed": True, "d_p": 0.1, "base_d_p": 0.1}),
        lambda card: card["validation"].update(accuracy=0.99),
        lambda card: card.update(seconds=2.0),
        lambda card: card.pop("checksum"),
    ],
)
def test_an_edited_card_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object]):
    write(tmp_path)
    edit(tmp_path / "bench.json", change)
    with pytest.raises(UserError, match="damaged or edited") as caught:
        Card.verified(tmp_path)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("damage", [b"", b"\xff", b"[" * 100_000, b"{}"])
def test_whatever_lies_where_a_card_should_be_ends_in_a_sentence(
    tmp_path: Path, damage: bytes
) -> None:
    write(tmp_path)
    (tmp_path / "bench.json").write_bytes(damage)
    with pytest.raises(UserError, match=r"no readable bench\.json"):
        Card.verified(tmp_path)


def test_a_checkpoint_in_the_folder_of_another_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    assert Card.verified(tmp_path, {"a": 1})
    with pytest.raises(UserError, match="another one's"):
        Card.verified(tmp_path, {"a": 2})


REFERENCE = Path(__file__).parents[3] / "results/regression/checkpoints/emodc_amdit"


@pytest.mark.parametrize(
    ("file", "change", "same"),
    [
        ("unet/config.json", lambda c: c.update(_name_or_path="/somewhere/run/unet"), True),
        ("unet/config.json", lambda c: c.update(_diffusers_version="1.0"), True),
        ("model_index.json", lambda c: c["unet"].__setitem__(0, "emodc.elsewhere"), True),
        ("model_index.json", lambda c: c["unet"].__setitem__(1, "UNetClassifier"), False),
        ("unet/config.json", lambda c: c.update(sample_size=8), False),
        ("scheduler/scheduler_config.json", lambda c: c.update(beta_end=0.03), False),
        ("emodc.json", lambda c: c["prompts"].update(null="nothing"), False),
    ],
)
def test_a_fingerprint_is_that_of_outputs_and_not_of_places(
    tmp_path: Path, file: str, change: Callable[[dict[str, Any]], object], same: bool
) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(REFERENCE, folder)
    edit(folder / file, change)
    assert (fingerprint(folder) == fingerprint(REFERENCE)) is same


def test_the_reference_checkpoints_keep_their_fingerprints() -> None:
    """Cells are named by them."""
    found = {folder.name: fingerprint(folder) for folder in sorted(REFERENCE.parent.iterdir())}
    assert found == {
        "emodc_amdit": "5d96bce1ef35e8cf",
        "test_efficientnet": "6d3e475060c4a51c",
    }
