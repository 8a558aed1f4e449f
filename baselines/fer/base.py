"""What published FER networks share: their register, and how released files are opened.

    @register
    class Mine(PublishedNetwork):
        name = "mine"
        ...

A released file is a pickle of tensors. It is read with `weights_only=True`, so nothing in it is
executed; named objects of the training scripts that lie beside the weights become `Ignored`.
"""

import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

#: Under these keys training scripts store the weights.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")

#: Pickled objects in released files that are no weights: meters of MA-Net, POSTER++ and QCS, and
#: numpy's numbers inside them. The scripts ran as `__main__`.
_STUBS = (
    "__main__.RecorderMeter",
    "__main__.RecorderMeter1",
    "__main__.RecorderMeter_loss",
    "__main__.RecorderMeter_matrix",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
)

#: Names of a torchvision ResNet whose children are the items of `features`.
RESNET_FEATURES: Mapping[str, str] = {
    "features.0.": "trunk.conv1.",
    "features.1.": "trunk.bn1.",
    **{f"features.{number + 3}.": f"trunk.layer{number}." for number in range(1, 5)},
}


class ReleasedFileError(ValueError):
    """A file of weights that cannot be opened, or is not of the network that was named."""


class Ignored:
    """The place of a pickled object that is no weight."""

    def __new__(cls, *args: Any) -> "Ignored":
        """Whatever the object was made of."""
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        """Keeps nothing."""

    def __setstate__(self, state: Any) -> None:
        """Keeps nothing."""


class PublishedNetwork(nn.Module):
    """A network as published: prepared pictures in, logits out.

    Attributes:
        name: In configs.
        title: What it is called in its paper.
        paper: Authors, year, identifier.
        licence: Of the original code.
        order: Class order of the released files, a name that `bench.labels.ORDERS` has.
        size: Height and width of its pictures; None if it takes any.
        interpolation: How pictures are brought to this size.
        mean: Subtracted from the channels of pictures in [0, 1].
        std: Divides them.
        renames: Beginnings of names in released files, and what they are here.
        dead: Patterns of names in released files that no computation of a logit uses.
        unreleased: Names here that no released file has.
        needs_reference: Whether a statistic of other pictures enters its logits; see `freeze`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    licence: ClassVar[str]
    order: ClassVar[str] = "raf_db"
    size: ClassVar[int | None] = 224
    interpolation: ClassVar[str] = "bilinear"
    mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)
    renames: ClassVar[Mapping[str, str]] = {}
    dead: ClassVar[tuple[str, ...]] = ()
    unreleased: ClassVar[tuple[str, ...]] = ()
    needs_reference: ClassVar[bool] = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def freeze(self, pictures: Iterable[Tensor]) -> int:
        """Measure the statistic of other pictures that enters logits, where there is one.

        Args:
            pictures: Prepared, (3, S, S) each.

        Returns:
            How many there were.
        """
        raise TypeError(f"{self.name} uses no statistic of other pictures")

    def load_released(self, tensors: Mapping[str, Any]) -> None:
        """Take the weights of a released file.

        Args:
            tensors: By the file's names, without wrapper and prefix.

        Raises:
            ReleasedFileError: If the file has a name that is neither known nor dead, lacks one, or
                has a tensor of another shape.
        """
        living = {
            key: value
            for key, value in tensors.items()
            if not any(fnmatchcase(key, pattern) for pattern in self.dead)
        }
        own = self.state_dict()
        optional = self.unreleased.__contains__
        found = fitting(own, living, optional, rename=self.own_name, told=self._released_name)
        self.load_state_dict(found, strict=False)

    def own_name(self, key: str) -> str:
        """What a name in a released file is here."""
        for begins, ours in self.renames.items():
            if key.startswith(begins):
                return ours + key.removeprefix(begins)
        return key

    def _released_name(self, name: str) -> str:
        for begins, ours in self.renames.items():
            if name.startswith(ours):
                return begins + name.removeprefix(ours)
        return name


#: Every published network, by its name.
ARCHITECTURES: dict[str, type[PublishedNetwork]] = {}

_N = TypeVar("_N", bound=PublishedNetwork)


def register(cls: type[_N]) -> type[_N]:
    """Make a network known by its name."""
    ARCHITECTURES[cls.name] = cls
    return cls


def resnet(name: str = "resnet18") -> nn.Module:
    """A ResNet of timm's without its head: (B, 3, H, W) -> (B, num_features, H / 32, W / 32)."""
    trunk: nn.Module = timm.create_model(name, num_classes=0, global_pool="")
    return trunk


def width_of(trunk: nn.Module) -> int:
    """Channels that a trunk ends with."""
    width = trunk.num_features
    assert isinstance(width, int)
    return width


def read_tensors(path: Path) -> dict[str, Any]:
    """What a file of weights holds by name, without wrapper and without "module." prefixes.

    Args:
        path: A .safetensors file, or one that `torch.save` wrote.

    Raises:
        ReleasedFileError: If it cannot be read without executing what is in it, or has no weights.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            with torch.serialization.safe_globals([(Ignored, name) for name in _STUBS]):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise ReleasedFileError("it is damaged or of another format") from error
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is None:
            raise ReleasedFileError("it is damaged or of another format") from error
        raise ReleasedFileError(
            f"it holds more than tensors ({named[1]}), and nothing in it is executed here; load it "
            "where you trust it, and save its state_dict() alone"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict) or not any(isinstance(v, Tensor) for v in content.values()):
        held = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ReleasedFileError(f"it holds no weights of a network, but {held or 'nothing'}")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def fitting(
    own: Mapping[str, Tensor],
    tensors: Mapping[str, Any],
    optional: Callable[[str], bool],
    *,
    rename: Callable[[str], str] = str,
    told: Callable[[str], str] = str,
) -> dict[str, Tensor]:
    """What a file has for a network, by the network's names.

    Args:
        own: The network's weights.
        tensors: By the file's names.
        optional: Whether a weight of the network may be missing.
        rename: From the file's name to the network's.
        told: From the network's name to the file's.

    Raises:
        ReleasedFileError: If the file has a name that the network has not, lacks one, or has a
            tensor of another shape.
    """
    found: dict[str, Tensor] = {}
    strange = []
    for key, value in tensors.items():
        name = rename(key)
        if name not in own or not isinstance(value, Tensor):
            strange.append(key)
        elif value.shape != own[name].shape:
            shapes = f"{tuple(value.shape)}, expected is {tuple(own[name].shape)}"
            raise ReleasedFileError(f"{key} is a tensor {shapes}")
        else:
            found[name] = value
    # Files of old torch versions have no counts of batches; nothing is computed with them.
    missing = [
        told(name)
        for name in own
        if name not in found and not optional(name) and not name.endswith("num_batches_tracked")
    ]
    for fault, names in (("lacks", missing), ("holds what this network has not,", strange)):
        if names:
            more = f" and {len(names) - 1} more" if names[1:] else ""
            raise ReleasedFileError(f"it {fault} {names[0]}{more}")
    return found


def open_released(name: str, path: Path, classes: int) -> PublishedNetwork:
    """A published network with the weights of a released file, in evaluation mode.

    Args:
        name: Of `ARCHITECTURES`.
        path: The file.
        classes: How many it tells apart.

    Raises:
        ReleasedFileError: If the file cannot be read or does not fit.
    """
    network = ARCHITECTURES[name](classes)
    network.load_released(read_tensors(path))
    return network.eval()
