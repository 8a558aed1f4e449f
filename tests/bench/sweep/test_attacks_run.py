"""Attacks in whole runs: the same rows however a run is cut, transfer, and what is believed."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from support import write_pictures

from bench.config import parse
from bench.data.drawn import DrawnFaces
from bench.report.figures.curves import amplification, example_drawings
from bench.report.results import read
from bench.report.tables import tables
from bench.report.tables.attacks import attacked_pictures, evidence, warnings
from bench.store.store import ATTACK_SCHEMA, Store
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter

HEAD = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    classes = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    def __init__(self, seed):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.w = nn.Parameter(torch.randn(7, 3 * 16, generator=draw))
    def logits(self, x):
        features = F.adaptive_avg_pool2d(x, 4).flatten(1)
        return 40 * (features - features.mean(1, keepdim=True)) @ self.w.T
    def forward(self, x):
        BODY

def one():  # right on 7 of the 21 pictures, and names every class
    return Net(346)
def two():
    return Net(2)
"""

SOUND = "return self.logits(x)"
#: What is broken -> the check that must name it.
ZOO = {
    "return self.logits(x.detach())": "gradient",
    "return self.logits((x * 6).round() / 6)": "gradient",
    "return F.one_hot(self.logits(x).argmax(1), 7).float()": "gradient",
    "return 1e4 * self.logits(x)": "gradient",
    "return self.logits(x) + torch.randn(7) * 20": "same verdict",
    "return self.logits(F.dropout(x, 0.5, training=True))": "same verdict",
    "on_grid = (255 * x - (255 * x).round()).abs().max() < 1e-2\n"  # not while it is attacked
    "        return self.logits(x) if on_grid else self.logits(x) * float('nan')": "finite",
}


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run attacks on networks whose forward pass is given; the folder of the store."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def measured(
        attacks: dict[str, Any],
        body: str = SOUND,
        out: str = "out",
        names=("one",),
        data: dict[str, Any] | None = None,
        **execution,
    ) -> Path:
        (tmp_path / "zoo.py").write_text(HEAD.replace("BODY", body))
        sys.modules.pop("zoo", None)
        entry = {"kind": "python", "check_class_order": False}
        content = {
            "validation": False,
            "data": data or {"kind": "faces", "train": 14, "val": 7, "test": 21},
            "classifiers": {name: {**entry, "factory": f"zoo:{name}"} for name in names},
            "perturbations": {"attacks": attacks},
            "execution": {"workers": 1, "device": "cpu", **execution},
        }
        folder = tmp_path / out
        run(parse(content, "x"), folder, Reporter(quiet=True))
        return folder

    yield measured
    sys.modules.pop("zoo", None)


def stored(folder: Path) -> dict[str, pd.DataFrame]:
    """Rows and what was seen, of each attack's cells, whatever was spent."""
    store, found = Store(folder), {}
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        rows = store.rows(manifest).drop(columns="seconds")
        seen = store.attacks(manifest) if cell.family == "attack" else None
        found[f"{cell.classifier} {cell.perturbation} {cell.severity}"] = (
            rows if seen is None else rows.merge(seen, on="sample_id")
        )
    return found


def test_rows_do_not_depend_on_how_a_run_is_cut(measure) -> None:
    attacks = {
        "pgd": [4],
        "strong_pgd": {"eps": [2], "steps": 5, "last_whole": 2},
        "standard": {"eps": [2], "steps": 3, "budget": 6},
        "rays": {"eps": [4], "budget": 8},
        "torchattacks.MIFGSM": [0.5],
        "from_two": {"kind": "transfer", "source": "two", "eps": [4]},
    }
    whole = stored(measure(attacks, names=("one", "two"), batch_size=64, shards=1))
    parts = stored(measure(attacks, out="b", names=("one", "two"), batch_size=2, shards=3))
    assert list(whole) == list(parts)
    for name, frame in whole.items():
        pd.testing.assert_frame_equal(frame, parts[name])
    assert "two from_two 4/255" not in whole and "one from_two 4/255" in whole
    assert set(ATTACK_SCHEMA.names) <= set(whole["one pgd 4/255"].columns)


def test_a_transfer_is_what_the_other_was_attacked_with(measure) -> None:
    attacks = {"pgd": [8], "from_two": {"kind": "transfer", "source": "two", "eps": [8]}}
    folder = measure(attacks, names=("one", "two"))
    before, found = Store(folder), stored(folder)
    own, moved = found["one pgd 8/255"], found["one from_two 8/255"]
    assert not np.allclose(np.stack(own["logits"]), np.stack(moved["logits"]))
    (manifest,) = [
        m for c in before.planned() if c.perturbation == "from_two" and (m := before.manifest(c))
    ]
    (other,) = [
        m
        for c in before.planned()
        if (c.classifier, c.family) == ("two", "clean") and (m := before.manifest(c))
    ]
    assert manifest.inputs["source"]["weights"] == other.inputs["weights"]
    # What was seen is another's: it says nothing against the verdicts of this one.
    (group,) = read(folder).groups
    worth = evidence(group, "one", "from_two")
    assert worth is not None and worth.grade != "D", worth


def graded(folder: Path):
    (group,) = read(folder).groups
    return group, evidence(group, "one", "pgd")


@pytest.mark.parametrize(("body", "check"), ZOO.items(), ids=list(ZOO.values()))
def test_a_broken_defence_is_named(measure, body: str, check: str) -> None:
    folder = measure({"pgd": [2, 8], "square": {"eps": [8], "budget": 30}}, body)
    group, found = graded(folder)
    assert found.grade in ("C", "D") and check in found.failed, found
    (sentence,) = warnings(group, ["pgd"])
    assert sentence.startswith("pgd is ") and f"one: {found.failed[check]}" in sentence
    (spec,) = [spec for spec in tables(read(folder), Store(folder)) if spec.name.endswith("pgd")]
    assert not spec.marks and sentence in spec.about
    assert str(spec.rows[0][spec.header.index("evidence")]).startswith(f"{found.grade} (")


def test_a_sound_classifier_is_believed(measure) -> None:
    attacks = {
        "pgd": {"eps": [2, 16], "steps": 20},  # the last hit is at step 6
        "square": {"eps": [16], "budget": 30},
        "random_noise": [2, 16],
    }
    group, found = graded(measure(attacks))
    assert not found.failed and found.grade in ("A", "B"), found
    assert evidence(group, "one", "random_noise") is None


def test_a_transfer_from_nobody_is_told(measure) -> None:
    with pytest.raises(UserError, match="the run has no classifier 'three'"):
        measure({"t": {"kind": "transfer", "source": "three", "eps": [1]}})


def test_fresh_noise_is_judged_on_several_draws(measure) -> None:
    noisy = "return self.logits(x) + 10 * torch.randn(7)"  # draws of a picture differ
    fresh = {"kind": "pgd", "eps": [1, 8], "steps": 3, "eot": 2, "noise": "fresh", "draws": 4}
    folder = measure({"pgd_fresh": fresh}, noisy)
    results = read(folder)
    (group,) = results.groups
    drawn = {(r.cell.perturbation, r.cell.severity): r for r in group.draws}
    assert set(drawn) == {("clean", "0"), ("pgd_fresh", "1/255"), ("pgd_fresh", "8/255")}
    assert {one.n for one in drawn.values()} == {84}
    (spec,) = [spec for spec in tables(results, Store(folder)) if "fresh-noise" in spec.name]
    rows = {str(row[1]): row for row in spec.rows}
    assert [rows["clean"][3], rows["clean"][4], rows["pgd_fresh 8/255"][2]] == ["21", "4", "2"]
    frame = Store(folder).rows(drawn["clean", "0"].manifest)
    right = (frame["label"] == frame["prediction"]).to_numpy().reshape(21, 4)
    assert rows["clean"][5].value == pytest.approx(right.mean())
    assert rows["clean"][6].value == pytest.approx(right.all(1).mean())
    assert right.mean() > right.all(1).mean() >= rows["pgd_fresh 8/255"][6].value
    cut = measure({"pgd_fresh": fresh}, noisy, out="b", batch_size=3, shards=2)
    for name, frame in stored(folder).items():
        pd.testing.assert_frame_equal(frame, stored(cut)[name])


def test_the_worst_case_and_the_smallest_budgets_follow_from_the_rows(measure) -> None:
    folder = measure({"pgd": [1, 4], "square": {"eps": [1, 4], "budget": 20}, "fgsm": [4]})
    found = {spec.name: spec for spec in tables(read(folder), Store(folder))}
    worst = next(spec for name, spec in found.items() if "worst-case" in name)
    frames = stored(folder)

    def right(which: str) -> np.ndarray:
        return (frames[which]["label"] == frames[which]["prediction"]).to_numpy()

    at = {eps: worst.header.index(f"eps {eps}") for eps in ("1/255", "4/255")}
    one = right("one pgd 1/255") & right("one square 1/255")
    four = right("one pgd 4/255") & right("one square 4/255") & right("one fgsm 4/255")
    assert worst.rows[0][at["1/255"]].value == pytest.approx(one.mean())
    assert worst.rows[0][at["4/255"]].value == pytest.approx(four.mean())
    smallest = next(spec for name, spec in found.items() if "smallest-eps" in name)
    never = smallest.rows[0][smallest.header.index("never wrong %")]
    assert never.value == pytest.approx((right("one clean 0") & one & four).mean())


def test_early_decisions_under_attack_are_replayed_or_counted(tmp_path: Path) -> None:
    emodc = {
        "kind": "emodc",
        "block_out_channels": [8, 8, 8],
        "stages": [{"objective": {"kind": "amdit"}, "steps": 3, "batch_size": 8}],
        "evaluation": {"steps": 12, "attack_steps": 4},
    }
    early = emodc["evaluation"] | {"decision": {"kind": "sequential", "delta": 0.01}}
    content = {
        "data": {"kind": "faces", "train": 14, "val": 14, "test": 21},
        "classifiers": {"whole": emodc, "early": emodc | {"evaluation": early}},
        "perturbations": {
            "attacks": {
                "pgd": {"eps": [4], "steps": 2},
                "slow_down": {"eps": [4], "steps": 3, "last_whole": 1},
                "mislead": {"eps": [4], "steps": 3, "restarts": 1, "first": 4},
            },
            "attack_limit": 9,
        },
        "execution": {"workers": 1, "device": "cpu"},
    }
    folder = tmp_path / "out"
    run(parse(content, "x"), folder, Reporter(quiet=True))
    results, store = read(folder), Store(folder)
    (group,) = results.groups
    assert evidence(group, "whole", "slow_down") is None
    assert evidence(group, "whole", "mislead") is None
    assert evidence(group, "whole", "pgd") is not None
    (spec,) = [one for one in tables(results, store) if "attacked-decisions" in one.name]
    rows = {(row[0], row[1]): row for row in spec.rows}
    names = ("clean", "pgd 4/255", "slow_down 4/255", "mislead 4/255")
    assert set(rows) == {(group.names[who], name) for who in ("whole", "early") for name in names}
    for name in names:
        replayed, live = (rows[group.names[who], name] for who in ("whole", "early"))
        assert replayed[2] == live[2] == "9"
        assert all(replayed[k] is not None and live[k] is None for k in (5, 7, 8))
        # The attacks see the same classifier and rule: pictures are the same, and what is spent.
        assert replayed[3].value == pytest.approx(live[3].value)
        assert replayed[6].value == pytest.approx(live[6].value)
        assert replayed[4].value == pytest.approx(100 * replayed[3].value / 84)


# ------------------------------------------------------------------------------------------------
# Pictures that are shown


def kept(folder: Path) -> dict[str, dict[str, tuple[bytes, float]]]:
    """What is kept of attacked pictures, by cell and sample."""
    store, found = Store(folder), {}
    for cell in store.planned():
        manifest = store.manifest(cell)
        assert manifest is not None
        own = store.examples(manifest).items()
        found[f"{cell.perturbation} {cell.severity}"] = {i: (c.tobytes(), m) for i, (c, m) in own}
    return found


def test_the_same_changes_are_kept_however_a_run_is_cut(measure) -> None:
    attacks = {"pgd": [0.5, 4], "far": {"kind": "pgd", "eps": [200], "norm": "l2"}}
    whole = kept(measure(attacks, batch_size=64, shards=1))
    parts = kept(measure(attacks, out="b", batch_size=2, shards=5, workers=2))
    assert whole == parts
    assert not whole.pop("clean 0") and len(whole) == 3
    assert all(list(own) == [f"test-0000{i}" for i in range(3)] for own in whole.values())
    assert all(most == 4 for _, most in whole["pgd 4/255"].values())
    assert all(0.45 < most < 0.51 for _, most in whole["pgd 0.5/255"].values())


def test_what_is_shown_is_what_the_classifier_saw(measure) -> None:
    folder = measure({"pgd": [1, 4], "fgsm": [4]}, shards=2)
    (group,), store = read(folder).groups, Store(folder)
    shown = attacked_pictures(group, store)
    assert list(shown) == ["pgd", "fgsm"]
    accuracy = {r.cell.severity: r.accuracy.value for r in group.under("one", "pgd")}
    (own, pictures), *others = shown["pgd"]
    nearest = min(accuracy, key=lambda eps: abs(accuracy[eps] - 0.5))
    assert own.cell.severity == nearest and not others
    rows = store.rows(own.manifest).set_index("sample_id")
    clean = store.rows(group.clean("one").manifest).set_index("sample_id")
    faces, net = DrawnFaces({"train": 14, "val": 7, "test": 21}), sys.modules["zoo"].one()
    for sample, one in zip(faces.samples("test"), pictures, strict=False):
        np.testing.assert_array_equal(one.clean, faces.picture(sample))
        image = torch.from_numpy(one.attacked.transpose(2, 0, 1)[None] / np.float32(255))
        logits = net(image).detach()[0].numpy()
        np.testing.assert_allclose(logits, rows.loc[sample.id, "logits"], atol=1e-4)
        decisions = rows.loc[sample.id, "prediction"], clean.loc[sample.id, "prediction"]
        assert (one.after, one.before, one.label) == (*decisions, sample.label)


def test_the_figure_has_pictures_changes_and_decisions(measure) -> None:
    folder = measure({"pgd": [4]})
    (group,), store = read(folder).groups, Store(folder)
    ((_, pictures),) = attacked_pictures(group, store)["pgd"]
    (drawing,) = example_drawings(group, store)
    assert (drawing.name, drawing.chapter) == ("faces-pgd-examples", "attacks")
    assert len(drawing.caption.split()) <= 40
    assert amplification(pictures) == 31  # 4 x 31 fits in 127
    panels = [ax for ax in drawing.figure.axes if ax.images]
    assert len(panels) == 3 * len(pictures) == 9
    for place, one in enumerate(pictures):
        clean, attacked, change = (panel.images[0].get_array() for panel in panels[3 * place :][:3])
        np.testing.assert_array_equal(clean, one.clean)
        np.testing.assert_array_equal(attacked, one.attacked)
        expected = 128 + 31 * (attacked.astype(int) - clean.astype(int))
        np.testing.assert_array_equal(change, expected)
        titles = [panel.get_title() for panel in panels[3 * place :][:3]]
        marks = ["✓" if said == one.label else "✗" for said in (one.before, one.after)]
        assert titles == [f"{marks[0]} {one.before}", f"{marks[1]} {one.after}", "× 31"]
        assert f"{one.label}, {one.before} then {one.after}" in drawing.alt


def test_nothing_of_a_persons_own_pictures_is_kept(measure, tmp_path: Path) -> None:
    labels = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    for split in ("train", "test"):
        write_pictures(tmp_path / "own" / split, labels, 2)
    folder = measure({"pgd": [4]}, data={"kind": "folder", "root": str(tmp_path / "own")})
    assert not any(kept(folder).values())
    parts = [pq.read_schema(path).names for path in folder.rglob("part-*.parquet")]
    assert parts and not any("change" in names for names in parts)
    assert not list(example_drawings(read(folder).groups[0], Store(folder)))


def test_real_pictures_and_others_than_were_attacked_are_not_shown(
    measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = measure({"pgd": [4]})
    store = Store(folder)
    with monkeypatch.context() as patch:
        patch.setattr(DrawnFaces, "synthetic", False)
        assert not attacked_pictures(read(folder).groups[0], store)
    assert attacked_pictures(read(folder).groups[0], store)
    config = store.configs()["faces"]
    store.write_plan(store.planned(), config | {"data": config["data"] | {"test": 28}})
    assert not attacked_pictures(read(folder).groups[0], store)


def test_a_damaged_change_is_told_not_shown_and_measured_again(measure) -> None:
    folder = measure({"pgd": [4]}, shards=1)
    before = kept(folder)
    (path,) = (p for p in folder.rglob("part-*.parquet") if "change" in pq.read_schema(p).names)
    table = pq.read_table(path)
    changes = [None if one is None else one[::-1] for one in table["change"].to_pylist()]
    place = table.column_names.index("change")
    field = table.schema.field("change")
    pq.write_table(table.set_column(place, field, pa.array(changes, field.type)), path)
    results = read(folder)
    (missing,) = results.missing
    assert "not the file that was written" in missing.reason
    assert not list(example_drawings(results.groups[0], Store(folder)))
    assert kept(measure({"pgd": [4]}, shards=1)) == before
