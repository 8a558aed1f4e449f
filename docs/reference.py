"""Writes docs/reference.md from the registries: `python docs/reference.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from bench.classifiers.kinds import KINDS, Kind
from bench.cli import app
from bench.data.readers import LAYOUTS
from bench.labels import ORDERS
from bench.perturb import PRESETS
from bench.perturb.attacks import ATTACKS


def first_line(text: str | None) -> str:
    """The first sentence of a docstring, fit for a cell of a table."""
    line = (text or "").strip().split("\n\n")[0].replace("\n", " ")
    return line.replace("|", "\\|")


def fields(kind: type[Kind]) -> str:
    """The fields of a config's entry; those that must be given are bold."""
    return ", ".join(
        f"**`{name}`**" if field.is_required() else f"`{name}`"
        for name, field in kind.model_fields.items()
        if name != "kind"
    )


def commands(group: Any, prefix: str = "bench") -> Iterator[tuple[str, str]]:
    """All commands with what they do."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", first_line(command.help)


def lines() -> Iterator[str]:
    """The page."""
    yield "# Names\n\nWritten by `python docs/reference.py` from what the bench knows.\n"
    yield "## Kinds of classifiers\n\n| kind | what it is | fields, required bold |\n|---|---|---|"
    for name, kind in sorted(KINDS.items()):
        yield f"| `{name}` | {first_line(kind.__doc__)} | {fields(kind)} |"
    yield "\n## Corruptions\n\nTheir constants: `bench perturb list`.\n"
    yield "| preset | what it is | corruptions and sequences |\n|---|---|---|"
    for name, preset in PRESETS.items():
        members = ", ".join(f"`{one}`" for one in (*preset.corruptions, *preset.sequences))
        yield f"| `{name}` | {preset.about} | {members} |"
    yield "\n## Attacks\n\n| name | what it is |\n|---|---|"
    for name, attack in sorted(ATTACKS.items()):
        kind = attack if isinstance(attack, type) else type(attack)
        yield f"| `{name}` | {first_line(kind.__doc__)} |"
    yield "\n## Data sets\n\nLayouts on disk: [layouts](layouts.md).\n"
    yield "| name | data set |\n|---|---|"
    for name, layout in sorted(LAYOUTS.items()):
        yield f"| `{name}` | {layout.title} |"
    yield "\n## Class orders\n\n| name | classes in the order of their numbers |\n|---|---|"
    for name, order in sorted(ORDERS.items()):
        yield f"| `{name}` | {', '.join(order)} |"
    yield "\n## Commands\n\n| command | what it does |\n|---|---|"
    for name, text in commands(typer.main.get_command(app)):
        yield f"| `{name}` | {text} |"


def page() -> str:
    """docs/reference.md."""
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("reference.md").write_text(page())
