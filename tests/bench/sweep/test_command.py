import shlex

import pytest

from bench.store.cells import Cell
from bench.sweep.run import cell_command

CELL = Cell(
    id="abc", classifier="emodc_base", dataset="faces", perturbation="pgd", family="attack",
    severity="4/255", seed=0,
)  # fmt: skip
NARROWED = "--classifiers emodc_base --perturbations pgd"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("run robustness", "run robustness"),
        ("run robustness --classifiers a,b --seed 3", "run robustness --seed 3"),
        ("run --perturbations=clean robustness --classifiers=a", "run robustness"),
        ("run robustness --limit 9 --perturbations clean,pgd", "run robustness --limit 9"),
    ],
)
def test_what_was_typed_is_narrowed_to_the_cell(given: str, expected: str) -> None:
    assert cell_command(given.split(), CELL) == f"bench {expected} {NARROWED}"


def test_names_with_spaces_and_signs_survive_a_shell() -> None:
    arguments = ["run", "robustness", "--data", "my $(faces) & 'more'", "--out=a b"]
    command = cell_command(arguments, CELL)
    assert shlex.split(command) == ["bench", *arguments, *NARROWED.split()]


def test_a_run_without_a_command_has_none() -> None:
    assert cell_command((), CELL) == ""
