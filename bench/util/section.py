"""What every part of a config is: closed to unknown fields, and immutable."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from bench.util.errors import did_you_mean
from bench.util.files import expanded

#: A path in a config; `~` is the home folder.
UserPath = Annotated[Path, AfterValidator(expanded)]


class Section(BaseModel):
    """A part of a config."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def sentences(error: ValidationError) -> str:
    """What is wrong with which fields."""
    return "; ".join(map(_sentence, error.errors()))


def _sentence(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(str(error["loc"][-1]), _fields(Section), cutoff=0.7)
        return (
            f"unknown field {field!r}. {hint or 'See docs/configuration.md for those that exist'}"
        )
    return f"field {field!r}: {error['msg'].lower()}, got {error['input']!r}"


def _fields(section: type[BaseModel]) -> set[str]:
    """Names of the fields of all sections that there are."""
    inner = [_fields(child) for child in section.__subclasses__()]
    return set(section.model_fields).union(*inner)
