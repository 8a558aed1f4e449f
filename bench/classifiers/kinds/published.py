"""A network of a FER paper, with the file of weights that its authors released."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from typing_extensions import override

from bench import labels
from bench.classifiers.kinds.base import Brought, ClassOrder, register
from bench.util.errors import UserError, unknown
from bench.util.section import UserPath

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.classifiers.networks import PreparedNetwork
    from bench.config import Config


@register
class PublishedClassifier(Brought):
    """A network of a FER paper, such as DAN or POSTER++, with its released file of weights."""

    kind: Literal["published"]
    architecture: str  # a name in `baselines.fer.ARCHITECTURES`
    checkpoint: UserPath  # as released: .pth of tensors, or .safetensors
    classes: ClassOrder  # of its logits
    reference: UserPath | None = None  # of arm: a folder of pictures, which freeze its statistic

    verdict_seconds: ClassVar[float] = 0.1  # of a ResNet-18 at 224 px
    flag: ClassVar[tuple[str, str] | None] = ("published", "architecture")

    @override
    def check(self, name: str) -> None:
        """Whether the architecture is known, and its file is there."""
        from baselines.fer import ARCHITECTURES

        if self.architecture not in ARCHITECTURES:
            error = unknown("published architecture", self.architecture, ARCHITECTURES)
            raise UserError(f"classifier {name!r}: {error}")
        if not self.checkpoint.is_file():
            raise UserError(f"classifier {name!r}: there is no file {self.checkpoint}.")
        if not ARCHITECTURES[self.architecture].needs_reference:
            if self.reference is not None:
                raise UserError(
                    f"classifier {name!r}: {self.architecture} needs no reference pictures; remove "
                    "the field reference."
                )
        elif self.reference is None:
            raise UserError(
                f"classifier {name!r}: in {self.architecture} a mean over the evaluation batch "
                "enters every logit. Name a folder of training pictures as reference: the mean "
                "over them takes its place."
            )
        elif not self._pictures():
            raise UserError(f"classifier {name!r}: reference: no pictures lie in {self.reference}.")

    @override
    def identity(self, name: str) -> str:
        """A digest of architecture, classes, inputs and weights."""
        return self._digest(self._made(name))

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.discriminative import DiscriminativeClassifier

        model = self._made(name)
        classes = labels.class_names(self.classes)
        own = DiscriminativeClassifier(model, classes, self._digest(model), device)
        own.training = self.declared()
        if model.network.needs_reference:
            own.training["batch_statistic"] = f"frozen over {len(self._pictures())} pictures"
        return own

    @override
    def probe(self, classifier: "Classifier", attacked: bool) -> list[str]:
        """Say where a frozen statistic stands in for the batch's."""
        statistic = classifier.training.get("batch_statistic")
        if statistic is None:
            return []
        return [
            f"{self.architecture} as published adds a mean over the evaluation batch; here it is "
            f"{statistic} of {self.reference}, so its accuracy is not that of its paper"
        ]

    def _pictures(self) -> list[Path]:
        """The reference pictures in a fixed order."""
        from bench.data.images import PICTURE_SUFFIXES

        if self.reference is None:
            return []
        return sorted(
            (p for p in self.reference.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES),
            key=lambda path: labels.natural_key(str(path)),
        )

    def _digest(self, model: "PreparedNetwork") -> str:
        return model.digest(self.architecture, labels.class_names(self.classes))

    def _made(self, name: str) -> "PreparedNetwork":
        from baselines.fer import ReleasedFileError, open_released
        from bench.classifiers.networks import Inputs, PreparedNetwork

        self.check(name)
        count = len(labels.class_names(self.classes))
        try:
            network = open_released(self.architecture, self.checkpoint, count)
        except ReleasedFileError as error:
            raise UserError(
                f"classifier {name!r}: {self.checkpoint} cannot be opened as {self.architecture} "
                f"with {count} classes: {error}.",
                1,
            ) from error
        size = None if network.size is None else (network.size, network.size)
        inputs = Inputs(size, None, network.interpolation, network.mean, network.std)
        if network.needs_reference:
            network.freeze(inputs(_read(path))[0] for path in self._pictures())
        return PreparedNetwork(network, inputs)


def _read(path: Path) -> "torch.Tensor":
    """A picture of one's own, float32 (1, 3, H, W) in [0, 1]."""
    from bench.classifiers.base import as_images
    from bench.data.images import UnreadablePicture, read_picture

    try:
        return as_images([read_picture(path)])
    except UnreadablePicture as error:
        raise UserError(f"reference picture {path}: {error}.") from error
