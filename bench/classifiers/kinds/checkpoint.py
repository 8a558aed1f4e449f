"""A trained EmoDC or baseline, from a folder that a run of the bench wrote."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench.classifiers.kinds.base import TrainedWith, kind_of, register
from bench.classifiers.kinds.emodc import InSteps
from bench.util import files
from bench.util.errors import UserError
from bench.util.section import UserPath

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config


def what_it_is(path: Path) -> str:
    """What lies at a path that cannot be opened as asked, and which kind opens it: a sentence."""
    if not path.exists():
        return f"there is no {path}."
    if path.is_file():
        if path.suffix in (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pkl"):
            return (
                f"{path} is a file of weights, which does not say of which network: open it with "
                "kind: timm (model, checkpoint, classes), or with kind: python."
            )
        if path.suffix == ".onnx":
            return f"{path} is an ONNX network: kind: onnx opens it."
        if path.suffix in (".h5", ".keras", ".pb", ".tflite"):
            return f"{path} is a network of another library: save it as ONNX, for kind: onnx."
        return f"{path} is a file, and no folder."
    if (path / "model_index.json").exists():
        return (
            f"{path} is a diffusers pipeline: give it as `pretrained` of kind: emodc, or test it "
            "with `bench check classifier`."
        )
    if (path / "classifier.json").exists():
        return f"{path} is a baseline's checkpoint, which a run of the bench opens."
    if (path / "config.json").exists():
        return f"{path} is a Hugging Face model: kind: huggingface opens classifiers of pictures."
    if (path / "adapter_config.json").exists():
        return f"{path} is an adapter, such as LoRA's, without its network: merge and save them."
    if (path / "saved_model.pb").exists():
        return f"{path} is a network of TensorFlow: save it as ONNX, for kind: onnx."
    found = ", ".join(sorted(one.name for one in path.iterdir())[:5]) or "nothing"
    return f"{path} is a folder of another kind; it holds {found}."


@register
class CheckpointClassifier(InSteps):
    """A trained EmoDC or baseline, from a folder that a run of the bench wrote."""

    kind: Literal["checkpoint"]
    path: UserPath  # beside the working folder, or shipped with the bench
    trained_with: TrainedWith = Field(default_factory=list)

    flag: ClassVar[tuple[str, str] | None] = ("checkpoint", "path")

    @override
    def check(self, name: str) -> None:
        """Whether the bench wrote the folder."""
        if not (self.folder / "bench.json").exists():
            raise UserError(
                f"classifier {name!r}: kind: checkpoint opens folders that a run wrote, with a "
                f"bench.json; {what_it_is(self.folder)}"
            )

    @property
    def folder(self) -> Path:
        """The folder that `path` means."""
        return self.path if self.path.exists() else files.find(self.path) or self.path

    @property
    @override
    def keeps_trace(self) -> bool:
        return True

    @override
    def views(self, count: int) -> int:
        """As many as the kind that the checkpoint was made as."""
        from bench.store.checkpoints import Card

        made_as = kind_of(Card.verified(self.folder).recipe)
        if made_as.staged:
            return 0 if made_as.reads_prompts else self.evaluation.steps
        return count

    @override
    def identity(self, name: str) -> str:
        from bench.store.checkpoints import Card

        return Card.verified(self.folder).weights

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.load import from_checkpoint

        return from_checkpoint(name, self, folder, config, device)
