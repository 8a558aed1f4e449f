"""What every part of a config is: closed to unknown fields, and immutable."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from bench.util.files import expanded

#: A path in a config; `~` is the home folder.
UserPath = Annotated[Path, AfterValidator(expanded)]


class Section(BaseModel):
    """A part of a config."""

    model_config = ConfigDict(extra="forbid", frozen=True)
