"""Runs to compare, and the command."""

import itertools
import sys
from pathlib import Path

import pytest
from comparisons import CELLS, SKILL, outcomes

from bench.cli import main


@pytest.fixture
def run(build) -> Path:
    """Two classifiers in five cells."""
    for classifier, cell in itertools.product(SKILL, CELLS):
        build.add(classifier, *cell, outcomes(classifier, *cell))
    return build.plan()


@pytest.fixture
def seeds(new_build) -> Path:
    """Two classifiers with three trainings, one of which `other` lacks, on clean pictures."""
    build = new_build("seeds")
    for classifier, seed in [("net", 0), ("net", 1), ("net", 2), ("other", 0), ("other", 2)]:
        build.add(classifier, "clean", "0", outcomes(classifier, "clean", "0", seed), seed=seed)
    return build.plan()


def call(capsys, monkeypatch, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bench", "compare", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


@pytest.fixture
def bench(capsys, monkeypatch):
    return lambda *arguments: call(capsys, monkeypatch, *arguments)
