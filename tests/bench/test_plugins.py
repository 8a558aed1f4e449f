"""Things of installed distributions: found by name, loaded only when they are asked for."""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import call_apart
from made_up_traces import write_run
from support import write_pictures

import bench
from bench.config import parse
from bench.plugins import KINDS, find, installed

FACES = {"kind": "faces", "train": 14, "val": 14, "test": 21}
CODE = """
from typing import ClassVar, Literal

import torch

from bench.data.readers import Entry, Layout, Listing, PictureFile
from bench.sweep.worker import execute
from bench.util.section import Section
from emodc.decisions.rules import FullGrid

NUMBER = 3
CALLS = []

class OurFaces(Layout):
    title: ClassVar[str] = "Our faces"
    expects: ClassVar[str] = "SPLIT/CLASS/*.png"
    kind: Literal["our_faces"] = "our_faces"
    protocol: ClassVar[str] = "our pictures"

    def listing(self):
        found = sorted(p.relative_to(self.root) for p in self.root.glob("*/*/*.png"))
        entries = tuple(
            Entry(str(p), p.parts[1], p.parts[0], PictureFile(str(p))) for p in found
        )
        return Listing(self.root, entries, ("neutral", "happiness"))

class Few(Section):
    kind: Literal["few"] = "few"
    count: int = 2

    @property
    def label(self):
        return f"our {self.count} steps"

    def rule(self, fit=None):
        return FullGrid(count=self.count)

def cluster(shards, worker_arguments, workers):
    CALLS.append(len(shards))
    yield from execute(shards, worker_arguments, 1)

def dark(pictures, severity, draws):
    return pictures // (1 + severity)

def lazy(images, labels, logits, eps):
    step = torch.autograd.grad(logits(images.requires_grad_()).sum(), images)[0].sign()
    return (images + eps * step).clamp(0, 1)

def net():
    model = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 7)
    )
    torch.nn.init.constant_(model[2].weight, 0.1)
    torch.nn.init.constant_(model[2].bias, 0.0)
    model.classes = (
        "neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust"
    )
    return model
"""


def install(folder: Path, name: str, entries: dict[str, str]) -> None:
    """A distribution as pip leaves it."""
    (folder / f"{name}_code.py").write_text(CODE)
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = "\n".join(f"{key} = {value}" for key, value in entries.items())
    (info / "entry_points.txt").write_text(f"[emodc_bench]\n{lines}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of distributions."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_the_door_of_classifiers_and_corruptions_takes_no_file_of_the_bench(site: Path) -> None:
    entries = {
        "corruption.dark": "door_code:dark",
        "classifier.their_net": "door_code:net",
        "attack.lazy": "door_code:lazy",
    }
    install(site, "door", entries)
    assert [(own.kind, own.name, own.distribution) for own in installed()] == [
        ("attack", "lazy", "door 1.2"),
        ("classifier", "their_net", "door 1.2"),
        ("corruption", "dark", "door 1.2"),
    ]
    bench.corrupt(np.full((4, 4, 3), 100, np.uint8), "gaussian_noise", 1)
    assert "door_code" not in sys.modules  # nobody has asked for its names
    picture = np.full((4, 4, 3), 100, np.uint8)
    assert bench.corrupt(picture, "dark", 1)[0, 0, 0] == 50
    wanted = {"dark": [1, 2], "lazy": ["4/255"]}
    found = bench.evaluate("their_net", FACES, wanted, limit=7, quiet=True).to_pandas()
    assert set(found["classifier"]) == {"their_net"}
    levels = set(zip(found["perturbation"], found["severity"], strict=True))
    assert levels == {("clean", "0"), ("dark", "1"), ("dark", "2"), ("lazy", "4/255")}
    parsed = parse({"classifiers": {"a": {"kind": "their_net"}}}, "x").select(None, ["dark"])
    assert parsed.perturbations.names() == ["dark"]


#: One entry point of each kind, as the scratch package brings them.
ENTRIES = {
    "classifier.their_net": "door_code:net",
    "corruption.dark": "door_code:dark",
    "attack.lazy": "door_code:lazy",
    "dataset.our_faces": "door_code:OurFaces",
    "rule.few": "door_code:Few",
    "executor.cluster": "door_code:cluster",
}


@pytest.fixture
def package(site: Path) -> Path:
    install(site, "door", ENTRIES)
    sys.modules.pop("door_code", None)
    return site


def test_there_is_a_door_for_every_kind_and_contributing_shows_it() -> None:
    assert {name.partition(".")[0] for name in ENTRIES} == set(KINDS)
    page = (Path(bench.__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.findall(r'^"(\w+)\.\w+" = "', page, re.MULTILINE)
    assert set(shown) == set(KINDS)


def test_a_data_set_of_a_package(package: Path, tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        write_pictures(root / split, ("neutral", "happiness"), count)
    opened = bench.open_dataset("our_faces", root=root)
    assert [len(opened.samples(split)) for split in ("train", "val", "test")] == [8, 4, 6]
    section = {"kind": "our_faces", "root": str(root)}
    found = bench.evaluate("their_net", section, {"dark": [1]}, quiet=True).to_pandas()
    assert set(found["dataset"]) == {"our_faces"} and set(found["n"]) == {6}
    config = parse({"classifiers": {"a": {"kind": "their_net"}}, "data": section}, "x")
    assert parse(config.model_dump(mode="json"), "x") == config
    crossed = {"kind": "cross", "train": {"kind": "faces"}, "test": section}
    assert parse({"classifiers": {"a": {"kind": "their_net"}}, "data": crossed}, "x").data.test


def test_a_rule_of_a_package(
    package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = write_run(tmp_path / "run")
    code, out, err = call_apart(
        capsys, monkeypatch, "decide", made, "--rule", "few", "-o", "count=3", "--json"
    )
    assert (code, err) == (0, "")
    told = {(row["label"], row["rule"]["count"]) for row in json.loads(out)["rows"]}
    assert told == {("our 3 steps", 3)}
    stages = [{"objective": {"kind": "base"}, "steps": 1}]
    decision = {"kind": "few", "count": 4}
    entry = {"kind": "emodc", "stages": stages, "evaluation": {"decision": decision}}
    config = parse({"classifiers": {"a": entry}}, "x")
    assert config.classifiers["a"].decision.label == "our 4 steps"
    from bench.sweep.plan import fitted_on

    inputs = fitted_on(config, "a", "corruption", None)
    assert inputs["rule_from"] == "door 1.2"
    code = package / "door_code.py"  # a changed rule decides anew
    code.write_text(CODE.replace("FullGrid(count=self.count)", "FullGrid(count=self.count + 1)"))
    sys.modules.pop("door_code")
    importlib.invalidate_caches()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    config = parse({"classifiers": {"a": entry}}, "x")
    assert fitted_on(config, "a", "corruption", None) != inputs


def test_an_executor_of_a_package(package: Path, tmp_path: Path) -> None:
    content = {
        "data": FACES,
        "limit": 7,
        "classifiers": {"a": {"kind": "their_net", "check_class_order": False}},
        "perturbations": {"corruptions": {"dark": [1]}},
        "execution": {"executor": "cluster", "shards": 1, "device": "cpu"},
    }
    found = bench.run(content, tmp_path / "out", quiet=True).to_pandas()
    assert set(found["perturbation"]) == {"clean", "dark"}
    assert sum(sys.modules["door_code"].CALLS) >= 2
    content["execution"] = {"executor": "clutser"}
    with pytest.raises(bench.UserError, match="clutser"):
        bench.run(content, tmp_path / "other", quiet=True)
    assert not (tmp_path / "other" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("entries", "call", "words"),
    [
        ({"corruption.gone": "nowhere_at_all:X"}, "gone", ("bad 1.2", "nowhere_at_all", "gone")),
        ({"corruption.gone": "bad_code:MISSING"}, "gone", ("bad 1.2", "MISSING")),
        ({"corruption.mine": "bad_code:NUMBER"}, "mine", ("bad 1.2", "must be a function")),
        ({"colour.mine": "bad_code:dark"}, "mine", ("bad 1.2", "colour.mine", "KIND.NAME")),
    ],
)
def test_errors_name_the_distribution(
    site: Path, entries: dict[str, str], call: str, words: tuple[str, ...]
) -> None:
    install(site, "bad", entries)
    with pytest.raises(bench.UserError) as refused:
        bench.corrupt(np.zeros((4, 4, 3), np.uint8), call, 1)
    for word in words:
        assert word in str(refused.value)


def test_two_distributions_with_one_name_are_refused(site: Path) -> None:
    install(site, "one", {"corruption.dark": "one_code:dark"})
    install(site, "two", {"corruption.dark": "two_code:dark"})
    with pytest.raises(bench.UserError, match=r"one 1\.2") as refused:
        find("corruption", "dark")
    assert "two 1.2" in str(refused.value)


def test_a_built_in_name_is_not_replaced(site: Path) -> None:
    install(site, "thief", {"corruption.gaussian_noise": "thief_code:dark"})
    picture = np.full((8, 8, 3), 100, np.uint8)
    assert not (bench.corrupt(picture, "gaussian_noise", 1) == 50).all()


def test_they_are_listed_without_an_import(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = call_apart(capsys, monkeypatch, "plugins", "list")
    assert code == 0 and out.startswith("none: ")
    install(site, "listed", {"corruption.gone": "nowhere_at_all:X"})
    code, out, _ = call_apart(capsys, monkeypatch, "plugins", "list")
    assert (code, out) == (0, "corruption gone: nowhere_at_all:X, of listed 1.2\n")
    _, out, _ = call_apart(capsys, monkeypatch, "plugins", "list", "--json")
    assert json.loads(out)["plugins"] == [
        {
            "kind": "corruption",
            "name": "gone",
            "value": "nowhere_at_all:X",
            "distribution": "listed 1.2",
        }
    ]
