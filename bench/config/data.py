"""Which data a run is about."""

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import Field

from bench.data.layouts import LAYOUTS
from bench.section import Section


class FacesData(Section):
    """Drawn faces."""

    kind: Literal["faces"] = "faces"
    train: int = Field(7000, ge=14)
    val: int = Field(350, ge=7)
    test: int = Field(504, ge=7)
    difficulty: Literal["default", "hard"] = "default"


#: Every data set that is drawn, and every one that is read from files, by kind.
FACES: dict[str, type[Section]] = {"faces": FacesData}
FILES = LAYOUTS

#: Any layout of files.
FilesData: Any = reduce(or_, FILES.values())


class CrossData(Section):
    """Train on one data set, test on another, over the classes that both have."""

    kind: Literal["cross"]
    train: Annotated[FacesData | FilesData, Field(discriminator="kind")]
    test: Annotated[FacesData | FilesData, Field(discriminator="kind")]


DataConfig = Annotated[FacesData | CrossData | FilesData, Field(discriminator="kind")]
