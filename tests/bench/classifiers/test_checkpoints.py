"""Recipes of the shipped configs, pinned: checkpoints on disk are found by them.

Whoever changes a shipped config or a recipe changes them on purpose, and trains anew.
"""

from pathlib import Path

import pytest

from bench.classifiers import checkpoints
from bench.config import load
from bench.data.open import open_dataset
from bench.util.files import digest

PINNED = {
    "ablation": (54, "1d237bba115a"),
    "accurate": (7, "c3f46de5986e"),
    "cross": (7, "c30b44b6aff1"),
    "default": (10, "69312aa5e5bf"),
    "reference": (3, "3b5789155c98"),
    "regression": (0, "4f53cda18c2b"),
    "robust": (10, "59d0c19ce9ec"),
    "smoke": (5, "4e7ed6220a74"),
}


@pytest.mark.parametrize("name", PINNED)
def test_the_checkpoints_of_a_shipped_config_keep_their_names(name: str) -> None:
    config = load(Path(name))
    cpu = config.execution.model_copy(update={"device": "cpu"})
    config = config.model_copy(update={"execution": cpu})
    chains = checkpoints.recipes(config, open_dataset(config.data, config.seed)).values()
    folders = [checkpoints.checkpoint_folder(Path(), recipe).name for c in chains for recipe in c]
    assert (len(folders), digest(folders)) == PINNED[name]
