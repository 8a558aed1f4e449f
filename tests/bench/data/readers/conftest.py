"""Trees of drawn faces in every layout, each written once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.readers import make_like

#: Test pictures of each class in every tree; twice as many to train.
PER_CLASS = 3


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The tree of a layout, shared by all tests: read it, do not change it."""
    folder = tmp_path_factory.mktemp("trees")

    def tree(kind: str) -> Path:
        root = folder / kind
        if not root.exists():
            make_like(kind, root, PER_CLASS)
        return root

    return tree


@pytest.fixture
def own(written: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the tree of a layout, to be changed by one test."""

    def copy(kind: str) -> Path:
        return Path(shutil.copytree(written(kind), tmp_path / kind, symlinks=True))

    return copy
