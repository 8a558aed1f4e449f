"""Names and shapes of tensors in released files of published FER networks, and their sizes.

Written from the shapes that the papers and repositories state, with torchvision's ResNet as the
origin of the names of trunks.
"""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def _features(model: str = "resnet18", children: int = 9) -> Shapes:
    """A torchvision ResNet's first children as items of `features`."""
    with torch.device("meta"):
        network = getattr(torchvision.models, model)()
        trunk = torch.nn.Sequential(*list(network.children())[:children])
    return {f"features.{name}": tuple(t.shape) for name, t in trunk.state_dict().items()}


def _linear(name: str, before: int, after: int) -> Shapes:
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def _norm(name: str, width: int) -> Shapes:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{v}": (width,) for v in vectors} | {f"{name}.num_batches_tracked": ()}


def _convolution(name: str, before: int, after: int, *kernel: int, bias: bool = False) -> Shapes:
    weights = {f"{name}.weight": (after, before, *(kernel or (1, 1)))}
    return weights | ({f"{name}.bias": (after,)} if bias else {})


def _scn(classes: int) -> Shapes:
    return _features() | _linear("alpha.0", 512, 1) | _linear("fc", 512, classes)


def _eac(classes: int) -> Shapes:
    return _features("resnet50", 8) | _linear("fc", 2048, classes)


def _eac_resnet18(classes: int) -> Shapes:
    return _features(children=8) | _linear("fc", 512, classes)


def _dan(classes: int) -> Shapes:
    found = _features(children=8) | _linear("fc", 512, classes) | _norm("bn", classes)
    for head in (f"cat_head{number}" for number in range(4)):
        spatial, channel = f"{head}.sa.", f"{head}.ca.attention."
        found |= _convolution(f"{spatial}conv1x1.0", 512, 256, 1, 1, bias=True)
        found |= _norm(f"{spatial}conv1x1.1", 256)
        for kernel in ((3, 3), (1, 3), (3, 1)):
            name = f"{spatial}conv_{kernel[0]}x{kernel[1]}"
            found |= _convolution(f"{name}.0", 256, 512, *kernel, bias=True)
            found |= _norm(f"{name}.1", 512)
        found |= _linear(f"{channel}0", 512, 32) | _norm(f"{channel}1", 32)
        found |= _linear(f"{channel}3", 32, 512)
    return found


#: By architecture: shapes by the names in a released file of so many classes.
NAMES: dict[str, Callable[[int], Shapes]] = {
    "scn": _scn,
    "dan": _dan,
    "eac": _eac,
    "eac_resnet18": _eac_resnet18,
}

#: Beginnings of names that files hold and logits do not need.
DEAD: dict[str, tuple[str, ...]] = {}

#: Millions of parameters with 7 classes, and to how many digits they are published.
PARAMETERS = {
    "scn": (11.18, 2),
    "dan": (19.72, 2),
    "eac": (23.52, 2),  # torchvision's ResNet-50 with 7 classes
    "eac_resnet18": (11.18, 2),
}


def drawn(name: str, classes: int = 7) -> dict[str, Tensor]:
    """A released file's tensors, drawn at random."""
    draws = torch.Generator().manual_seed(0)
    found: dict[str, Tensor] = {}
    for key, shape in NAMES[name](classes).items():
        if key.endswith("running_var"):
            found[key] = 0.5 + torch.rand(shape, generator=draws)
        elif key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(1)
        else:
            found[key] = 0.1 * torch.randn(shape, generator=draws)
    return found
