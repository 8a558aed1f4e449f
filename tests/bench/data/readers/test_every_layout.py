"""What holds for every layout: trees are written, read, and swept."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.config import parse
from bench.data.on_disk import open_layout
from bench.data.on_disk.verify import as_json, verify
from bench.data.readers import LAYOUTS, WRITERS
from bench.sweep.run import run
from bench.util.progress import Reporter

#: Choices of protocol without which a tree cannot be read.
OPTIONS: dict[str, dict[str, object]] = {}

CONFIG = {
    "precision": "float32",
    "limit": 5,
    "classifiers": {
        "tiny": {"kind": "baseline", "architecture": "test_resnet", "steps": 2, "batch_size": 4}
    },
    "perturbations": {"corruptions": {"gaussian_noise": [3]}},
    "execution": {"workers": 1, "device": "cpu"},
}

every_layout = pytest.mark.parametrize("kind", LAYOUTS)


def test_every_layout_has_a_writer() -> None:
    assert set(WRITERS) == set(LAYOUTS)


@every_layout
def test_a_tree_is_read_whole(kind: str, written: Callable[[str], Path]) -> None:
    layout = LAYOUTS[kind].model_validate(
        {"kind": kind, "root": written(kind), **OPTIONS.get(kind, {})}
    )
    dataset = open_layout(layout)
    assert dataset.synthetic
    assert dataset.protocol
    assert not dataset.skipped
    ids: set[str] = set()
    for split in ("train", "val", "test"):
        samples = dataset.samples(split)
        assert {sample.label for sample in samples} == set(dataset.classes)
        assert not ids & {sample.id for sample in samples}
        ids |= {sample.id for sample in samples}
    for sample in dataset.samples("test")[:3]:
        picture = dataset.picture(sample)
        assert picture.dtype == np.uint8 and picture.shape == (*dataset.size(sample), 3)
        assert picture.std() > 10  # a face, not an empty rectangle
        for attribute, value in dataset.groups(sample).items():
            assert value in dataset.group_values[attribute]
    copy = pickle.loads(pickle.dumps(dataset))  # as workers get it
    np.testing.assert_array_equal(copy.picture(sample), dataset.picture(sample))
    assert open_layout(layout).digest == dataset.digest


@every_layout
def test_a_tree_verifies_without_warnings(kind: str, written: Callable[[str], Path]) -> None:
    layout = LAYOUTS[kind].model_validate(
        {"kind": kind, "root": written(kind), **OPTIONS.get(kind, {})}
    )
    found = verify(layout, Reporter(quiet=True))
    assert found.drawn
    assert [finding for finding in found.findings if finding.level == "warning"] == []
    assert sum(count.found for count in found.counts if not count.label) == len(found.manifest)
    assert sum(count.found for count in found.counts if count.label) == len(found.manifest)
    json.dumps(as_json(found), allow_nan=False)


@every_layout
def test_a_run_sweeps_it(kind: str, written: Callable[[str], Path], tmp_path: Path) -> None:
    data = {"kind": kind, "root": str(written(kind)), **OPTIONS.get(kind, {})}
    store = run(parse(CONFIG | {"data": data}, "test"), tmp_path, Reporter(quiet=True))
    manifests = [store.manifest(cell) for cell in store.planned()]
    assert all(m is not None for m in manifests)
    validation, *tested = [(m.cell.family, m.n) for m in manifests if m is not None]
    assert validation[0] == "validation" and validation[1] > 0
    assert tested == [("clean", 5), ("corruption", 5)]
