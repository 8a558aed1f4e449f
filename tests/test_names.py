"""A name means one thing in the whole project, and what prose names is there."""

import ast
import re
from collections import defaultdict
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PACKAGES = ("bench", "emodc", "baselines")


def _modules() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((PROJECT / package).rglob("*.py"))]


def test_no_class_name_is_defined_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in _modules():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{file.relative_to(PROJECT)}:{node.lineno}")
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def _names(file: Path) -> set[str]:
    """Functions, classes, constants of a module, and what it imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_what_is_named_in_prose_exists() -> None:
    """Files, modules and names of the packages between backticks, in documents and in code."""
    documents = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/*.md")]
    others = [file for name in ("tests", "benchmarks") for file in PROJECT.glob(f"{name}/**/*.py")]
    modules = {
        ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in _modules()
    }
    wrong, seen = [], 0
    for file in (*documents, *others, *_modules()):
        text = file.read_text(encoding="utf-8")
        paths = re.findall(r"`((?:bench|emodc|baselines|tests)/[\w./-]+\.py)`", text)
        dotted = re.findall(r"`((?:bench|emodc|baselines)(?:\.\w+)+)`", text)
        wrong += [f"{file}: {path}" for path in paths if not (PROJECT / path).is_file()]
        for name in dotted:
            module = name
            while module not in modules:
                module = module.rpartition(".")[0]
            first = name.removeprefix(module).removeprefix(".").partition(".")[0]
            if first not in ("", "json", *_names(modules[module])):
                wrong.append(f"{file}: {name}")
        seen += len(paths) + len(dotted)
    assert seen > 100
    assert wrong == []
