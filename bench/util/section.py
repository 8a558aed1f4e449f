"""What every part of a config is: closed to unknown fields, and immutable."""

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bench.util.errors import did_you_mean
from bench.util.files import expanded

#: A path in a config; `~` is the home folder.
UserPath = Annotated[Path, AfterValidator(expanded)]

LONGEST_NAME = 100

#: A name that a person gives, and that becomes a folder.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=LONGEST_NAME)]


class Section(BaseModel):
    """A part of a config."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def sentences(error: ValidationError) -> str:
    """What is wrong with which fields."""
    return "; ".join(map(_sentence, error.errors()))


def _sentence(error: Any) -> str:
    *above, last = error["loc"] or ("",)
    field = ".".join(map(str, above if last == "[key]" else error["loc"]))
    given, about = error["input"], error.get("ctx", {})
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        hint = did_you_mean(str(last), _fields(Section), cutoff=0.7)
        return (
            f"unknown field {field!r}. {hint or 'See docs/configuration.md for those that exist'}"
        )
    if error["type"] == "missing":
        return f"field {field!r} is missing"
    if error["type"] == "value_error":  # our own sentence, which names what was given
        return f"field {field!r}: {about['error']}".removesuffix(".")
    if last == "[key]":
        return (
            f"field {field!r}: {given!r} is no name; names are at most {LONGEST_NAME} lower-case "
            "letters (a to z), digits and _, and do not begin with _"
        )
    said = error["msg"][:1].lower() + error["msg"][1:]
    if error["type"] in ("dict_type", "model_type", "model_attributes_type", "dataclass_type"):
        said = "it is a mapping of fields"
    elif error["type"] == "path_type":
        said = "it is a path"
    elif error["type"] == "union_tag_invalid":
        known = re.findall(r"'([^']+)'", about["expected_tags"])
        hint = did_you_mean(about["tag"], known) or f"Known: {', '.join(known)}"
        return f"field {field!r}: there is no kind called {about['tag']!r}. {hint}"
    return f"field {field!r}: {said}, got {given!r}"


def _fields(section: type[BaseModel]) -> set[str]:
    """Names of the fields of all sections that there are, and of the dataclasses in them."""
    inner = [_fields(child) for child in section.__subclasses__()]
    settings = [_of_dataclasses(field.annotation) for field in section.model_fields.values()]
    return set(section.model_fields).union(*inner, *settings)


def _of_dataclasses(annotation: Any) -> set[str]:
    if dataclasses.is_dataclass(annotation):
        return {field.name for field in dataclasses.fields(annotation)}
    return set().union(*map(_of_dataclasses, get_args(annotation)))
