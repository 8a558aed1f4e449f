"""A network in an ONNX file, through onnxruntime: measured, and attacked without its gradient."""

import hashlib
import re
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench import labels
from bench.classifiers.kinds.base import Brought, ClassOrder, register
from bench.util.errors import UserError
from bench.util.section import UserPath

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config

#: Where a tensor names the file that it is in, as protobuf has it: behind it the name's length.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])", re.DOTALL)

_Three = tuple[float, float, float]


@register
class OnnxClassifier(Brought):
    """A network in an ONNX file. Pictures are resized to the height and width that it declares."""

    kind: Literal["onnx"]
    file: UserPath
    classes: ClassOrder  # of its outputs
    scale: float = Field(1.0, gt=0)  # pixels in [0, 1] are multiplied by it, such as 255
    mean: _Three = (0.0, 0.0, 0.0)  # then subtracted
    std: _Three = (1.0, 1.0, 1.0)  # then divided by
    channels: Literal["rgb", "bgr"] = "rgb"

    flag: ClassVar[tuple[str, str] | None] = ("onnx", "file")

    @override
    def check(self, name: str) -> None:
        """Whether the file and onnxruntime are there."""
        if not self.file.is_file():
            raise UserError(f"classifier {name!r}: there is no file {self.file}.")
        if find_spec("onnxruntime") is None:
            raise UserError(
                f"classifier {name!r}: kind: onnx needs onnxruntime: "
                "pip install 'emodc-bench[models]'."
            )

    @override
    def identity(self, name: str) -> str:
        """A digest of the file, of those with its weights, and of what is done to pictures."""
        self.check(name)
        return self._digest

    @cached_property
    def _digest(self) -> str:
        fields = self.model_dump_json(exclude={"file", "trained_with", "check_class_order"})
        total = hashlib.sha256(fields.encode())
        content = self.file.read_bytes()  # at most 2 GB; more is in other files
        total.update(hashlib.sha256(content).digest())
        found = (content[one.end() : one.end() + one[1][0]] for one in _LOCATION.finditer(content))
        for name in sorted(set(found)):
            beside = self.file.parent / name.decode(errors="replace")
            if beside.is_file():  # else opening the network tells what is missing
                with beside.open("rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
        return total.hexdigest()[:16]

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.discriminative import DiscriminativeClassifier
        from bench.classifiers.networks import OnnxNetwork

        self.check(name)
        classes = labels.class_names(self.classes)
        network = OnnxNetwork(
            name, self.file, len(classes), self.scale, self.mean, self.std, self.channels
        )
        own = DiscriminativeClassifier(network, classes, self._digest, device)
        own.training = self.declared()
        return own

    @override
    def probe(self, classifier: "Classifier", attacked: bool) -> list[str]:
        """Refuse attacks that differentiate: onnxruntime gives no gradient."""
        if attacked:
            raise UserError(
                f"classifier {self.file.name!r} (kind: onnx) has no gradient, which fgsm, pgd and "
                "their like need. Leave them out, or attack it with a query attack (square) or by "
                "transfer."
            )
        return []
