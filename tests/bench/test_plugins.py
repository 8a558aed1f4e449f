"""Things of installed distributions: found by name, loaded only when they are asked for."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import call_apart

import bench
from bench.config import parse
from bench.plugins import find, installed

FACES = {"kind": "faces", "train": 14, "val": 14, "test": 21}
CODE = """
import torch

NUMBER = 3

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
