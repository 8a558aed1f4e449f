"""What every part of a config is: closed to unknown fields, and immutable."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a config."""

    model_config = ConfigDict(extra="forbid", frozen=True)
