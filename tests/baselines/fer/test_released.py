"""Released files open by their published names, and nothing in them is overlooked or executed."""

import sys
import types
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_names import NAMES, PARAMETERS, drawn
from torch import Tensor

from baselines.fer import ARCHITECTURES, ReleasedFileError, open_released, read_tensors


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        network = ARCHITECTURES[name](7)
    count = sum(parameter.numel() for parameter in network.parameters())
    published, digits, more = PARAMETERS[name]
    count += more
    assert round(count / 1e6, digits) == published


def is_dead(key: str, name: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in ARCHITECTURES[name].dead)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_published_name_has_a_place_and_every_place_a_name(name: str) -> None:
    with torch.device("meta"):
        network = ARCHITECTURES[name](7)
        tensors = {key: torch.empty(shape) for key, shape in NAMES[name](7).items()}
    network.load_released(tensors)  # neither a leftover, nor a missing one, nor another shape
    with pytest.raises(ReleasedFileError, match=r"holds what this network has not, more\.weight"):
        network.load_released(tensors | {"more.weight": torch.empty(1)})
    dead = {key for key in tensors if is_dead(key, name)}
    key = next(key for key in tensors if key not in dead)
    with pytest.raises(ReleasedFileError, match=f"lacks {key}"):
        network.load_released({k: v for k, v in tensors.items() if k != key})
    network.load_released({k: v for k, v in tensors.items() if k not in dead})


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return drawn("scn")


def _meter(name: str) -> Any:
    """An object of a class that a training script defined, full of numpy's numbers."""
    main = sys.modules["__main__"]
    made = types.new_class(name)
    made.__module__, made.__qualname__ = "__main__", name
    setattr(main, name, made)
    meter = made()
    meter.losses, meter.best = np.zeros((3, 2), np.float32), np.float64(0.5)
    return meter


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model", "net"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrappers_and_prefixes_are_taken_off(
    wrapper: str | None, prefix: str, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    content: Any = {prefix + key: value for key, value in tensors.items()}
    if wrapper:
        content = {"iter": 3, wrapper: content, "best_acc": torch.tensor(0.9), "optimizer": {}}
    torch.save(content, tmp_path / "net.pth")
    network = open_released("scn", tmp_path / "net.pth", 7)
    weights = network.state_dict()
    assert torch.equal(weights["fc.weight"], tensors["fc.weight"])
    assert torch.equal(weights["trunk.conv1.weight"], tensors["features.0.weight"])
    assert not network.training


@pytest.mark.parametrize("meter", ["RecorderMeter", "RecorderMeter1", "RecorderMeter_loss"])
def test_meters_of_training_scripts_are_not_executed(
    meter: str, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    try:
        torch.save({"state_dict": tensors, "recorder": _meter(meter)}, tmp_path / "net.pth")
    finally:
        delattr(sys.modules["__main__"], meter)
    assert set(read_tensors(tmp_path / "net.pth")) == set(tensors)


class Other:
    """A class that no released file holds."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"optimizer": {"state": {}}}, "holds no weights of a network, but optimizer"),
        ({"state_dict": {}}, "holds no weights of a network, but nothing"),
        ({"state_dict": {"a": Other()}}, "nothing in it is executed"),
        ({"fc.weight": torch.zeros(8, 512)}, r"fc\.weight is a tensor \(8, 512\), expected is"),
        ({"fc.weight": 3}, r"lacks features\.0\.weight"),
        (None, "damaged or of another format"),
    ],
)
def test_what_cannot_be_opened_is_said_in_a_sentence(
    content: Any, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    if content is None:
        path.write_bytes(b"no pickle")
    else:
        if "fc.weight" in content and isinstance(content["fc.weight"], int):
            content = {"epoch": torch.tensor(1), **content}
        torch.save(content, path)
    with pytest.raises(ReleasedFileError, match=words):
        open_released("scn", path, 7)
