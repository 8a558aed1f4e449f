"""Settings of live decisions that cannot be met are refused by name."""

from pathlib import Path

import pytest
import torch
from support import TINY

from bench.classifiers import checkpoints
from bench.classifiers.kinds.checkpoint import CheckpointClassifier
from bench.config import load, parse
from bench.data.open import open_dataset
from bench.sweep.plan import make_plan
from bench.util.errors import UserError
from bench.util.progress import Reporter
from emodc.decisions.rules import FullGrid

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained baseline and an EmoDC."""
    config = load(TINY).select(["test_resnet", "emodc_base"])
    dataset = open_dataset(config.data, 0)
    found = checkpoints.train_missing(config, dataset, tmp_path_factory.mktemp("made"), Reporter())
    return {name: folder for (name, _), folder in found.items()}


def test_a_baseline_has_no_steps_to_decide_after(folders: dict[str, Path]) -> None:
    evaluation = {"decision": {"kind": "sequential"}}
    path = folders["test_resnet"]
    spec = CheckpointClassifier(kind="checkpoint", path=path, evaluation=evaluation)
    with pytest.raises(UserError, match=r"'mine'.*no steps to decide after"):
        spec.load("mine", path, load(TINY), CPU)
    plain = CheckpointClassifier(kind="checkpoint", path=path)
    classifier = plain.load("mine", path, load(TINY), CPU)
    with pytest.raises(TypeError, match="no steps to decide after"):
        classifier.measure([], [], FullGrid())


def test_compiling_without_a_compiler_names_the_field(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    content = load(TINY).model_dump(mode="json")
    compiled = parse(content | {"execution": {"engine": {"compile": True}}}, "compiled.yaml")
    spec, folder = compiled.classifiers["emodc_base"], folders["emodc_base"]
    with pytest.raises(UserError, match=r"execution\.engine: .*C\+\+ compiler"):
        spec.load("emodc_base", folder, compiled, CPU)


def test_a_decision_of_an_unknown_kind_names_the_field() -> None:
    content = load(TINY).model_dump(mode="json")
    content["classifiers"]["emodc_base"]["evaluation"]["decision"] = {"kind": "guess"}
    with pytest.raises(UserError, match=r"classifiers\.emodc_base\..*evaluation\.decision"):
        parse(content, "guess.yaml")


@pytest.mark.parametrize("on_clean", [True, False])
def test_clean_pictures_can_be_left_out_of_a_live_decision(on_clean: bool) -> None:
    def ids(evaluation: dict[str, object]) -> dict[str, str]:
        content = load(TINY).select(["emodc_base"]).model_dump(mode="json")
        content["classifiers"]["emodc_base"]["evaluation"] |= evaluation
        config = parse(content, "run.yaml")
        planned = make_plan(config, open_dataset(config.data, 0), {("emodc_base", 0): "digest"})
        return {f"{p.cell.condition} {p.cell.severity}": p.cell.id for p in planned}

    complete = ids({})
    some = ids({"decision": {"kind": "sequential"}, "decide_on_clean": on_clean})
    changed = {name for name in complete if some[name] != complete[name]}
    assert ("clean 0" in changed) is on_clean
    perturbed = {name for name in complete if not name.startswith("clean")}
    assert perturbed and perturbed <= changed
    assert not {name for name in changed if "validation" in name}
