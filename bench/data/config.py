"""Which data a run is about."""

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.data.readers import LAYOUTS
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
    domain: Domain = Field(default="default", description="The room and the camera.")


#: Every data set that is drawn, and every one that is read from files, by kind.
FACES: dict[str, type[Section]] = {"faces": FacesData, "clips": ClipsData}
FILES = LAYOUTS

#: Any layout of files.
FilesData: Any = reduce(or_, FILES.values())


class CrossData(Section):
    """Train on one data set, test on another, over the classes that both have."""

    kind: Literal["cross"]
    train: Annotated[FacesData | ClipsData | FilesData, Field(discriminator="kind")]
    test: Annotated[FacesData | ClipsData | FilesData, Field(discriminator="kind")]


DataConfig = Annotated[FacesData | ClipsData | CrossData | FilesData, Field(discriminator="kind")]
