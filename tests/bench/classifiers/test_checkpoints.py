"""Recipes of the shipped configs, pinned: checkpoints on disk are found by them.

Whoever changes a shipped config or a recipe changes them on purpose, and trains anew.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.classifiers import checkpoints
from bench.config import load, parse
from bench.data.open import open_dataset
from bench.store.store import Store
from bench.sweep import costs
from bench.training.loop import Training
from bench.util.files import digest

PINNED = {
    "ablation": (120, "f17823815c93"),
    "cross": (7, "d7d2504b83ad"),
    "default": (10, "a807ae39e5b9"),
    "reference": (3, "9a6be99a15a4"),
    "regression": (0, "4f53cda18c2b"),
    "robust": (10, "15cb18cab5e5"),
    "smoke": (5, "c73dd2786226"),
    "three_seeds": (30, "f28091b0ed8a"),
}


@pytest.mark.parametrize("name", PINNED)
def test_the_checkpoints_of_a_shipped_config_keep_their_names(name: str) -> None:
    config = load(Path(name))
    cpu = config.execution.model_copy(update={"device": "cpu"})
    # `auto` follows the processor.
    precision = "bfloat16" if config.precision == "auto" else config.precision
    config = config.model_copy(update={"execution": cpu, "precision": precision})
    chains = checkpoints.recipes(config, open_dataset(config.data, config.seed)).values()
    folders = [checkpoints.checkpoint_folder(Path(), recipe).name for c in chains for recipe in c]
    assert (len(folders), digest(folders)) == PINNED[name]


def test_the_chain_of_trainings_that_takes_longest_begins_first(tmp_path: Path) -> None:
    def training(name: str, after: str | None = None) -> Training:
        recipe = {"kind": "baseline", "steps": 1, "name": name}
        return Training(name, "any", recipe, 0, Path(name), None if after is None else Path(after))

    seconds = {"resnet": 5.0, "first": 2.0, "plain": 2.0, "margin": 4.0, "alone": 6.5}
    jobs = [
        training("resnet"),
        training("first"),
        training("plain", "first"),
        training("margin", "first"),
        training("alone"),
    ]
    kind = SimpleNamespace(training_seconds=lambda recipe: seconds[recipe["name"]], batch=64)
    config: Any = SimpleNamespace(classifiers={"any": kind})
    order = checkpoints.longest_first(config, jobs)
    # The first stage has the margin's behind it: 6 seconds, between "alone" and "resnet".
    assert [job.label for job in order] == ["alone", "first", "resnet", "margin", "plain"]

    kind.passes = 1
    known = costs.Costs(config, Store(tmp_path))
    # "alone", then "margin" until 10.5; meanwhile "first", "resnet" and "plain" until 9.
    assert known.training(jobs, 2) == 10.5
    assert known.training(jobs, 9) == 6.5
    assert known.training(jobs[2:], 9) == 6.5, "the first stage is there"
    assert known.training([], 2) == 0.0
    assert known.training(jobs, 1) < 19.5, "one has all threads"


AROUND = {"denoised": {"denoiser": "."}, "adapted": {}, "frame_mean": {}}


@pytest.mark.parametrize("kind", AROUND)
def test_what_stands_around_a_classifier_trains_as_long_as_that_one(kind: str) -> None:
    inner = {"kind": "baseline", "architecture": "resnet18", "steps": 7}
    content: dict[str, Any] = {
        "data": {"kind": "clips" if kind == "frame_mean" else "faces"},
        "classifiers": {"alone": inner, "around": {"kind": kind, "classifier": inner}},
    }
    content["classifiers"]["around"] |= AROUND[kind]
    if kind == "frame_mean":
        content["clips"] = {"frames": 4}
    alone, around = parse(content, "test.yaml").classifiers.values()
    (recipe,) = around.recipes({"data": "x", "seed": 0})
    assert around.training_seconds(recipe) == alone.training_seconds(recipe) > 0
