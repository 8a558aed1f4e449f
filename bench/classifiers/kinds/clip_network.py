"""A network of clips, trained from scratch or from X3D's published weights."""

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from bench.classifiers.kinds.base import GRADIENT, TrainedAtOnce, register
from bench.data.config import Padding, Sampler, ShownFrames
from bench.util.errors import UserError
from bench.util.section import Section, UserPath

if TYPE_CHECKING:
    from bench.perturb.base import Perturbation
    from bench.training.loop import TrainingJob


class DamSettings(Section):
    """HDF's attention behind each stage of X3D; see `baselines.clips.hdf`."""

    variant: Literal["time", "released"] = "time"
    perturbation: Literal["descent", "ascent"] = "descent"
    identity_init: bool = False


class DsmSettings(Section):
    """HDF's loss; see `baselines.clips.hdf`."""

    temperature: float = Field(0.07, gt=0)
    eta: float = Field(0.2, gt=0)
    bottleneck: float = Field(0.5, ge=0)
    bottleneck_sign: Literal[-1, 1] = 1
    alpha: float = Field(10.0, gt=0)
    beta: float = Field(0.1, ge=0)
    released: bool = False


@register
class ClipNetwork(TrainedAtOnce):
    """A network of clips. Frames are resized to `size`; their number is the run's."""

    kind: Literal["clip_network"]
    architecture: Literal["x3d", "r3d_18", "mc3_18", "m3dfel", "frame_transformer"]
    frames: int | None = Field(None, ge=1)  # None: as many as the run shows
    size: int = Field(112, ge=16)
    width: float = Field(1.0, gt=0)  # of x3d: factor of its channels
    depth: float = Field(1.0, gt=0)  # of x3d: factor of its blocks
    dam: DamSettings | None = None  # of x3d
    dsm: DsmSettings | None = None
    sam: float = Field(0.0, ge=0)  # radius rho of sharpness-aware minimisation; 0: none
    pretrained: UserPath | None = None  # of x3d: PyTorchVideo's X3D_{XS,S,M}.pyth
    steps: int = Field(600, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    warmup: float = Field(0.1, ge=0, le=1)
    weight_decay: float = Field(0.05, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    batch_size: int = Field(16, ge=2)
    validate_every: int | None = Field(None, ge=1)  # steps; None: five times
    sampler: Sampler = "tsn_random"
    padding: Padding = "edge"
    least_crop: float = Field(0.5, gt=0, le=1)  # area of random crops
    jitter: float = Field(0.0, ge=0, lt=1)  # of brightness, contrast and saturation
    balanced: bool = False  # draw every class equally often
    readers: int = Field(1, ge=1)  # threads that read frames

    text: ClassVar[str] = "A discriminative classifier of clips."
    parts: ClassVar[Mapping[str, str]] = {"dam": "DAM", "dsm": "DSM", "sam": "SAM"}
    train_step_seconds: ClassVar[float] = 0.5

    @model_validator(mode="after")
    def _of_x3d(self) -> Self:
        given = {
            "width": self.width != 1.0,
            "depth": self.depth != 1.0,
            "dam": self.dam is not None,
            "pretrained": self.pretrained is not None,
        }
        wrong = [name for name, there in given.items() if there]
        if self.architecture != "x3d" and wrong:
            raise ValueError(f"{wrong[0]} is an option of x3d, not of {self.architecture}")
        return self

    @override
    def for_clips(self, name: str, shown: ShownFrames | None) -> "ClipNetwork":
        if shown is None:
            raise UserError(
                f"classifier {name!r} takes clips, and the run shows pictures: set `clips`, such "
                "as `clips: {frames: 16}`, and a data set of clips."
            )
        frames = self.frames or shown.frames
        for count in (frames, shown.frames):
            if self.architecture == "m3dfel" and count % 4:
                raise UserError(
                    f"classifier {name!r}: m3dfel cuts a clip into 4 parts, which {count} frames "
                    "do not fit."
                )
        if self.architecture == "frame_transformer" and shown.frames > frames:
            raise UserError(
                f"classifier {name!r} is trained on {frames} frames and takes no more; the run "
                f"shows {shown.frames}."
            )
        return self.model_copy(update={"frames": frames})

    @override
    def check(self, name: str) -> None:
        """Whether the pretrained file is there."""
        if self.pretrained is not None and not self.pretrained.is_file():
            raise UserError(f"classifier {name!r}: there is no file {self.pretrained}.")

    @override
    def views(self, count: int) -> int:
        """Test-time augmentation is of pictures."""
        return 0

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the network, as `baselines.clips.ClipClassifier` takes them."""
        if self.architecture != "x3d":
            return {}
        found: dict[str, Any] = {"width": self.width, "depth": self.depth}
        return found if self.dam is None else found | {"dam": self.dam.model_dump()}

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A pretrained file is named by its content; how many threads read does not matter."""
        own = self.model_dump(exclude={"readers"})
        if self.pretrained is not None and self.pretrained.is_file():
            own["pretrained"] = sha256(self.pretrained.read_bytes()).hexdigest()
        return [{**common, **own}]

    @override
    def train_network(self, job: "TrainingJob") -> None:
        from bench.training.discriminative import train_clip_network

        train_clip_network(self, job)

    @override
    def seconds(self, perturbation: "Perturbation", level: str) -> tuple[float, float]:
        verdict = 3e-6 * (self.frames or 16) * self.size**2 / 16
        return verdict, GRADIENT * verdict
