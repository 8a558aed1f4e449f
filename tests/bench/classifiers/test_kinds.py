"""A kind of classifier is one class in one file; nothing else in the bench tells kinds apart."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from support import TINY

import bench
from bench.classifiers.kinds import KINDS, kind_of, seen
from bench.classifiers.kinds.base import Kind, register
from bench.config import load, parse
from bench.sweep.run import dry_run, run
from bench.util.errors import UserError
from bench.util.progress import Reporter


def test_a_config_is_read_without_torch() -> None:
    code = "import sys, bench.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_registered_kind_is_known_to_configs_reports_and_marks() -> None:
    @register
    class Oracle(Kind):
        kind: Literal["oracle"]
        depth: int = 3
        saw: ClassVar[tuple[str, ...]] = ("fog",)
        text: ClassVar[str] = "An oracle."

        def load(self, name: str, folder: Any, config: Any, device: Any) -> Any:
            return None

    try:
        config = parse({"classifiers": {"one": {"kind": "oracle", "depth": 4}}}, "x")
        assert config.classifiers["one"] == Oracle(kind="oracle", depth=4)
        assert config.model_dump()["classifiers"]["one"] == {"kind": "oracle", "depth": 4}
        assert kind_of({"kind": "oracle"}).text == "An oracle."
        assert seen({"kind": "oracle"}, "imagecorruptions.fog")
    finally:
        del KINDS["oracle"]


def test_kinds_are_told_apart_in_their_room_alone() -> None:
    names = "|".join(KINDS.keys() - {"python"})  # which perturbations have, too
    tells = re.compile(rf"isinstance\(spec|(?:==|!=) \"(?:{names})\"")
    root = Path(bench.__file__).parent
    rooms = [p for p in root.rglob("*.py") if "classifiers" not in p.relative_to(root).parts]
    assert len(rooms) > 50
    assert [str(path) for path in rooms if tells.search(path.read_text())] == []


BASELINE = {"kind": "baseline", "steps": 3}
LORA = {"objective": {"kind": "base"}, "steps": 3, "trained": "lora"}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            BASELINE | {"architecture": "vit_tiny_patch16_224"},
            "224 px alone, not of 64. Set image_size: 224",
        ),
        (
            BASELINE | {"architecture": "swin_tiny_patch4_window7_224"},
            "224 px alone, not of 64. Set image_size: 224",
        ),
        (BASELINE | {"architecture": "convnext_tny"}, "Did you mean convnext_tiny"),
        (BASELINE | {"architecture": "hf-hub:someone/model"}, "no architecture called 'hf-hub"),
        ({"kind": "emodc", "stages": [LORA]}, r"pip install 'emodc-bench\[finetune\]'"),
    ],
    ids=lambda value: str(value)[:70],
)
def test_what_cannot_be_trained_is_refused_before_any_work(
    entry: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.classifiers.kinds.emodc.find_spec", lambda name: None)
    config = parse({"classifiers": {"mine": entry}}, "x")
    for attempt in (dry_run, lambda *given: run(*given, Reporter(quiet=True))):
        with pytest.raises(UserError, match=f"classifier 'mine'.*{words}"):
            attempt(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "architecture", ["resnet18", "vit_small", "convnext_tiny", "resnet18.a1_in1k"]
)
def test_architectures_of_any_size_are_accepted(architecture: str) -> None:
    parse({"classifiers": {"mine": BASELINE | {"architecture": architecture}}}, "x").classifiers[
        "mine"
    ].check("mine")
    for name, spec in load(TINY).classifiers.items():
        spec.check(name)
