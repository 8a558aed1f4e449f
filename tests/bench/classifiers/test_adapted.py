"""Test-time adaptation: TENT and T3A against few-line references, and blocks of a run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import nameless, normalised, rows_of
from torch import nn

import bench
from bench.classifiers.around import T3A, Tent, t3a_logits
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.config import parse
from bench.labels import BASIC
from bench.report import display_name
from bench.report.write import write_report
from bench.store.store import Store
from bench.sweep.plan import blocks_of
from bench.sweep.verify import verify
from bench.util import rng
from bench.util.errors import UserError
from bench.util.progress import Reporter

CPU = torch.device("cpu")


TENT = "mine (transductive)"
BASE = {"objective": {"kind": "base"}, "steps": 3}


def entry(**fields: Any) -> dict[str, Any]:
    inner = {"kind": "python", "factory": "support:normalised", "class_order": "fer2013"}
    return {"kind": "adapted", "classifier": inner} | fields


def content(**changes: Any) -> dict[str, Any]:
    return {
        "data": {"kind": "faces", "train": 14, "val": 14, "test": 21},
        "classifiers": {"mine": entry(block=8)},
        "perturbations": {"corruptions": {"gaussian_noise": [3]}},
        "execution": {"workers": 1},
    } | changes


def classifier(model: nn.Module, classes: int = 7) -> DiscriminativeClassifier:
    return DiscriminativeClassifier(model, BASIC[:classes], "digest", CPU)


def pictures(count: int, size: int = 6) -> list[np.ndarray]:
    return list(rng.generator("block", count).integers(0, 256, (count, size, size, 3), np.uint8))


def test_tents_step_is_adams_on_the_entropy() -> None:
    with rng.fenced("tent"):
        head = nn.Linear(12, 4)
        model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), head)
    block, rate = pictures(9, size=2), 0.05
    found = Tent(classifier(model, 4), 1, rate).measure(block, list("abcdefghi")).logits

    x = np.stack(block).transpose(0, 3, 1, 2).reshape(9, 12) / 255.0
    z = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    weight, bias = head.weight.detach().double().numpy(), head.bias.detach().double().numpy()
    logits = z @ weight.T + bias  # scale 1, shift 0
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    entropy = -(p * np.log(p)).sum(1, keepdims=True)
    slope = -p * (np.log(p) + entropy) / len(x)  # of the mean entropy, by logit
    by_scale, by_shift = ((slope @ weight) * z).sum(0), (slope @ weight).sum(0)
    scale = 1 - rate * by_scale / (np.abs(by_scale) + 1e-8)
    shift = -rate * by_shift / (np.abs(by_shift) + 1e-8)
    expected = (scale * z + shift) @ weight.T + bias
    assert np.abs(expected - logits).max() > 0.01
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("keep", [None, 1, 3])
def test_t3as_prototypes_are_means_of_directions(keep: int | None) -> None:
    draw = rng.generator("t3a")
    features, weight, bias = (
        draw.normal(size=(20, 5)),
        draw.normal(size=(3, 5)),
        draw.normal(size=3),
    )
    f, w, b = map(torch.from_numpy, (features, weight, bias))
    found = t3a_logits(f, w, b, keep)

    expected = np.zeros((20, 3))
    said = features @ weight.T + bias
    for k in range(3):
        own = [weight[k], *features[said.argmax(1) == k]]
        p = np.exp([v @ weight.T + bias for v in own])
        p /= p.sum(1, keepdims=True)
        surest = np.argsort(-(p * np.log(p)).sum(1), kind="stable")[:keep]
        total = sum(own[i] / np.linalg.norm(own[i]) for i in surest)
        expected[:, k] = features @ (total / np.linalg.norm(total))
    assert np.allclose(found.numpy(), expected)


@pytest.mark.parametrize("method", ["tent", "t3a"])
def test_a_verdict_is_of_its_block_and_not_of_those_before(method: str) -> None:
    def made() -> Tent | T3A:
        own = classifier(normalised())
        return Tent(own, 3, 0.01) if method == "tent" else T3A(own, None)

    first, second = pictures(5, 24), pictures(6, 24)
    own = made()
    own.measure(first, list("abcde"))
    after = own.measure(second, list("fghijk"))
    alone = made().measure(second, list("fghijk"))
    assert np.array_equal(after.logits, alone.logits)
    assert not np.array_equal(after.logits[:3], made().measure(second[:3], list("fgh")).logits)
    assert (after.evaluations == (4 if method == "tent" else 1)).all()


def test_no_step_is_batch_statistics_alone() -> None:
    block = pictures(5, 24)
    model = normalised().train()
    images = torch.from_numpy(np.stack(block)).permute(0, 3, 1, 2).float() / 255
    found = Tent(classifier(normalised()), 0, 1.0).measure(block, list("abcde")).logits
    assert np.allclose(found, model(images).detach().numpy(), atol=1e-5)


def test_blocks_are_of_ids_and_seed_and_nearly_equal() -> None:
    names = [str(i) for i in range(21)]
    blocks = blocks_of(names, 8, 0, "faces")
    assert [len(block) for block in blocks] == [7, 7, 7]
    assert sorted(sum(blocks, ())) == sorted(names)
    assert blocks == blocks_of(names[::-1], 8, 0, "faces")
    assert blocks != blocks_of(names, 8, 1, "faces")
    assert blocks_of(names, 0, 0, "faces") == ()


@pytest.mark.parametrize("method", ["tent", "t3a"])
def test_rows_do_not_depend_on_shards_workers_or_batches(method: str, tmp_path: Path) -> None:
    several = 2 if method == "tent" else 1  # starting processes takes seconds

    def rows(name: str, **execution: Any) -> dict[str, Any]:
        own = content(classifiers={"mine": entry(block=8, method=method)}, execution=execution)
        bench.run(own, out=tmp_path / name, quiet=True)
        store = Store(tmp_path / name)
        return {
            cell.id: (list(table["sample_id"]), np.stack(list(table["logits"])))
            for cell in store.planned()
            for table in [rows_of(store, cell)]
        }

    first = rows("a", workers=1, shards=1)
    assert len(first) == 3  # clean, noise and validation
    for others in (rows("b", workers=several, shards=3), rows("c", workers=1, batch_size=5)):
        assert others.keys() == first.keys()
        for cell, (ids, logits) in others.items():
            assert ids == first[cell][0]
            assert np.array_equal(logits, first[cell][1])
    for ids, logits in first.values():
        assert ids == sorted(ids)  # of the data set, not of blocks
        assert len({row.tobytes() for row in logits}) == len(ids)


def test_rows_are_in_the_order_of_other_classifiers_and_can_be_verified(tmp_path: Path) -> None:
    plain = entry()["classifier"]
    own = content(classifiers={"plain": plain, "mine": entry(block=8)})
    bench.run(own, out=tmp_path / "out", quiet=True)
    store = Store(tmp_path / "out")
    order = {
        cell.classifier: list(rows_of(store, cell)["sample_id"])
        for cell in store.planned()
        if cell.family == "corruption"
    }
    assert order["mine"] == order["plain"]
    found = verify(tmp_path / "out", Reporter(quiet=True), samples=40)
    assert found.faults == []
    assert found.checked == found.equal == 40
    page = (write_report(tmp_path / "out").folder / "tables.md").read_text()
    assert TENT in page
    assert "plain (transductive)" not in page
    assert "adapts, without labels, to blocks" in page


def test_an_attack_is_left_out_and_a_transfer_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attacks = {"fgsm": [4], "moved": {"kind": "transfer", "source": "plain", "eps": [4]}}
    own = content(
        classifiers={"plain": entry()["classifier"], "mine": entry(block=8)},
        perturbations={"attacks": attacks, "attack_limit": 9},
    )
    frame = bench.run(own, out=tmp_path / "out").to_pandas()
    assert (
        "mine is not measured under fgsm: an attack changes one picture" in capsys.readouterr().err
    )
    measured = set(zip(frame["classifier"], frame["perturbation"], strict=True))
    assert measured == {
        ("plain", "clean"), ("plain", "fgsm"), (TENT, "clean"), (TENT, "moved")
    }  # fmt: skip
    attacks["back"] = {"kind": "transfer", "source": "mine", "eps": [4]}
    with pytest.raises(UserError, match="its source 'mine' adapts to blocks of pictures"):
        bench.run(own, out=tmp_path / "out", quiet=True)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"method": "t3a", "steps": 2}, "steps is for method: tent"),
        ({"keep": 2}, "keep is for method: t3a"),
        ({"block": 1}, "greater than or equal to 2"),
        ({"classifier": entry()}, "not adapted"),
        ({"classifier": {"kind": "onnx", "file": "net.onnx", "classes": "fer2013"}}, "net.onnx"),
        ({"classifier": {"kind": "control", "stages": [BASE]}}, "not control"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        spec = parse({"classifiers": {"x": entry(**fields)}}, "c").classifiers["x"]
        spec.check("x")


@pytest.mark.parametrize(
    ("method", "factory", "sentence"),
    [
        ("tent", "support:nameless", "adapts batch normalisation, and the network has none"),
        ("t3a", "support:convolved", "must be what a linear layer returns"),
    ],
)
def test_a_network_without_the_layer_is_refused(method: str, factory: str, sentence: str) -> None:
    inner = {"kind": "python", "factory": factory, "class_order": "fer2013"}
    own = content(classifiers={"x": entry(method=method, classifier=inner)})
    config = parse(own, "c")
    with pytest.raises(UserError, match=f"'x': method: {method}: .*{sentence}"):
        config.classifiers["x"].load("x", None, config, CPU)


def test_pictures_of_several_sizes_share_a_block_where_they_are_resized() -> None:
    from baselines.networks import FaceClassifier

    mixed = [*pictures(2, 24), *pictures(2, 30)]
    with pytest.raises(UserError, match=r"one size.*24 x 24, 30 x 30"):
        Tent(classifier(normalised()), 1, 0.01).measure(mixed, list("abcd"))
    own = Tent(classifier(FaceClassifier("resnet18", BASIC)), 1, 0.01)
    assert own.measure(mixed, list("abcd")).logits.shape == (4, 7)
    assert T3A(classifier(nameless()), None).measure(mixed, list("abcd")).logits.shape == (4, 7)


def test_its_name_says_that_it_is_transductive() -> None:
    assert display_name("tent", [None], True) == "tent (transductive)"
