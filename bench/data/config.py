"""Which data a run is about, and what `bench data list` says of every data set."""

import textwrap
from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from bench import plugins
from bench.data.readers import LAYOUTS, Layout
from bench.util.section import Section

Domain = Literal["default", "webcam", "archive"]


class FacesData(Section):
    """Drawn faces."""

    kind: Literal["faces"] = "faces"
    train: int = Field(7000, ge=14)
    val: int = Field(350, ge=7)
    test: int = Field(504, ge=7)
    difficulty: Literal["default", "hard"] = "default"
    expressions: Literal["basic", "compound"] = "basic"
    domain: Domain = Field(default="default", description="The room and the camera.")
    drawing: Literal[1, 2] = Field(default=2, description="1 is flat, and shows the whole head.")

    @model_validator(mode="after")
    def _every_class_in_every_split(self) -> Self:
        if self.expressions == "compound" and min(self.train, self.val, self.test) < 11:
            raise ValueError("eleven compound expressions need 11 pictures or more in each split")
        return self


class ClipsData(Section):
    """Clips of drawn faces; classifiers of pictures see their middle frame."""

    kind: Literal["clips"] = "clips"
    train: int = Field(1400, ge=14)
    val: int = Field(140, ge=7)
    test: int = Field(280, ge=7)
    task: Literal["expression", "direction"] = Field(
        default="expression",
        description="The expression, or whether one appears or disappears, which no frame decides.",
    )
    domain: Domain = Field(default="default", description="The room and the camera.")


#: Names of `bench.data.clips.SAMPLERS` and `PADDINGS`, which import torch.
Sampler = Literal[
    "tsn_middle",
    "linspace",
    "former_dfer_middle",
    "tsn_random",
    "m3dfel_jitter",
    "former_dfer_random",
    "dense_1",
    "dense_4",
]
Padding = Literal["edge", "first", "tile"]


class ShownFrames(Section):
    """Which frames of every clip classifiers are shown, one after the other in time."""

    frames: int = Field(16, ge=1)
    sampler: Sampler = "tsn_middle"
    padding: Padding = "edge"


#: Every data set that is drawn, and every one that is read from files, by kind.
FACES: dict[str, type[Section]] = {"faces": FacesData, "clips": ClipsData}
FILES = LAYOUTS

#: Any layout of files; any data set that is one.
FilesData: Any = reduce(or_, FILES.values())
_Known: Any = reduce(or_, [*FACES.values(), *FILES.values()])


#: Layouts of other distributions stand beside those of the bench.
_OrBrought = plugins.or_brought("dataset", Layout, {*FACES, *FILES, "cross"})

_Shown: Any = SerializeAsAny
SingleData: Any = Annotated[_Shown[_Known], Field(discriminator="kind"), _OrBrought]


class CrossData(Section):
    """Train on one data set, test on another, over the classes that both have."""

    kind: Literal["cross"]
    train: SingleData
    test: SingleData


DataConfig = Annotated[
    SerializeAsAny[FacesData | ClipsData | CrossData | FilesData],
    Field(discriminator="kind"),
    _OrBrought,
]


# ------------------------------------------------------------------------------------------------
# `bench data list`: layout on disk, choices of protocol
# ------------------------------------------------------------------------------------------------

_EVERYWHERE = ("kind", "root", "follow_links", "lost_classes")

_FROM_FILES = (
    "Read from files: --data NAME --root DIR. With -o follow_links=true files behind links that "
    "leave DIR are used, too. With -o lost_classes=drop classes with labels and no picture are "
    "left out."
)


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


def as_text(width: int) -> str:
    """Name and title of each, then what is on disk and what can be chosen.

    Args:
        width: Columns; only words that are longer than a line pass it.
    """
    entries = as_json()
    drawn = [entry for entry in entries if entry["layout"] is None]
    files = [entry for entry in entries if entry["layout"] is not None]
    lines = _wrapped("Drawn by the bench: --data NAME. Defaults are in brackets.", "", width)
    for entry in drawn:
        lines += ["", *_entry(entry, width)]
    lines += ["", "", *_wrapped(_FROM_FILES, "", width)]
    for entry in files:
        lines += ["", *_entry(entry, width)]
    return "\n".join(lines)


def _entry(entry: dict[str, Any], width: int) -> Iterator[str]:
    clips = ", clips" if entry["clips"] and entry["layout"] else ""  # drawn ones say it themselves
    yield from _wrapped(f"{entry['name']}: {entry['title']}{clips}", "", width)
    if entry["layout"]:
        yield from _wrapped(f"layout: {entry['layout']}", "  ", width)
    for option in entry["options"]:
        about = f": {option['description']}" if option["description"] else ""
        default = "" if option["default"] is None else f" [{_as_typed(option['default'])}]"
        choice = f"-o {option['name']}={option['values']}{about}{default}"
        yield from _wrapped(choice, "  ", width)
    if entry["agreement"]:
        yield from _wrapped(f"agreement: {entry['agreement']}", "  ", width)


def _as_typed(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    """Lines of a paragraph, all but the first indented deeper; paths and options stay whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _options(section: Any) -> list[dict[str, Any]]:
    """Name, values, default and description of each field that is a choice."""
    fields = section.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "values": _values(field),
            "default": field.get("default"),
            "description": field.get("description", "").rstrip("."),
        }
        for name, field in fields.items()
        if name not in _EVERYWHERE
    ]


def _values(field: dict[str, Any]) -> str:
    """The values of a field: "a|b", "1..5", "14.." or what they are, "TEXT"."""
    kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
    values = [str(value) for kind in kinds for value in kind.get("enum", ())]
    if values:
        return "|".join(values)
    if any(kind.get("type") == "boolean" for kind in kinds):
        return "true|false"
    for kind in kinds:
        if "minimum" in kind or "maximum" in kind:
            return f"{kind.get('minimum', '')}..{kind.get('maximum', '')}"
    names = {"integer": "NUMBER", "number": "NUMBER", "string": "TEXT", "array": "LIST"}
    return names.get(kinds[0].get("type"), "VALUE")
