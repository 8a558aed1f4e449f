"""What `bench data list` shows: every data set, its layout on disk, its choices of protocol."""

from typing import Any

from rich.console import Console

from bench.config.data import FACES, FILES

_COMMON = ("kind", "root", "follow_links")


def as_json() -> list[dict[str, Any]]:
    """One object per data set."""
    drawn: list[dict[str, Any]] = [
        {
            "name": name,
            "title": (section.__doc__ or "").rstrip("."),
            "agreement": None,
            "layout": None,
            "clips": name == "clips",
            "options": _options(section),
        }
        for name, section in FACES.items()
    ]
    files: list[dict[str, Any]] = [
        {
            "name": name,
            "title": layout.title,
            "agreement": layout.terms,
            "layout": layout.expects,
            "clips": layout.clips,
            "options": _options(layout),
        }
        for name, layout in FILES.items()
    ]
    return drawn + files


def show(console: Console) -> None:
    """Name and title, then what is on disk and what can be chosen."""
    for entry in as_json():
        console.print(f"[bold]{entry['name']}[/bold]  {entry['title']}", highlight=False)
        if entry["layout"]:
            console.print(f"  {entry['layout']}", highlight=False, markup=False)
        for option, text in entry["options"].items():
            console.print(f"  -o {option}={text}", highlight=False, markup=False)
        if entry["agreement"]:
            console.print(f"  agreement: {entry['agreement']}", highlight=False, markup=False)


def _options(section: Any) -> dict[str, str]:
    """Of each field that is a choice: its values, and what it is."""
    fields = section.model_json_schema()["properties"]
    return {name: _values(field) for name, field in fields.items() if name not in _COMMON}


def _values(field: dict[str, Any]) -> str:
    kinds = field.get("anyOf", [field])
    values = [str(value) for kind in kinds for value in kind.get("enum", ())]
    if not values:
        low, high = (next((k[b] for k in kinds if b in k), "") for b in ("minimum", "maximum"))
        values = [f"{low}..{high}"] if low != "" else [kinds[0].get("type", "value").upper()]
    default = field.get("default")
    told = [f"default {default}"] if default is not None else []
    told += [field["description"]] if "description" in field else []
    return "|".join(values) + (f"  ({'; '.join(told)})" if told else "")
