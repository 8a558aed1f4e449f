"""Every example runs as it stands, without network; a notebook's cells in order."""

import json
from pathlib import Path

import pytest
from command_line import Copied

EXAMPLES = Path(__file__).parents[2] / "examples"


def code(path: Path) -> str:
    """The script, or the notebook's cells; what a cell ends in is printed."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    show = "import ast, sys\n" + (
        "def cell(source):\n"
        "    tree = ast.parse(source)\n"
        "    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None\n"
        "    exec(compile(tree, 'cell', 'exec'), globals())\n"
        "    if last is not None:\n"
        "        value = eval(compile(ast.Expression(last.value), 'cell', 'eval'), globals())\n"
        "        print(repr(value))\n"
    )
    return show + "".join(f"cell({source!r})\n" for source in sources)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("evaluate.py", ("linear", "gaussian noise", "pgd")),
        ("compare.py", ("gaussian_blur 5", "not distinguishable")),
        ("evaluate.ipynb", ("mine", "gaussian_noise", "Figure", "not distinguishable")),
    ],
)
def test_examples_run(name: str, words: tuple[str, ...], tmp_path: Path) -> None:
    there = f"import os; os.chdir({str(tmp_path)!r})\n"
    with Copied("-c", there + code(EXAMPLES / name)) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    for word in words:
        assert word in out
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_notebooks_are_committed_without_outputs() -> None:
    for path in EXAMPLES.glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells)
