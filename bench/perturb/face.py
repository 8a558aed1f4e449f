"""What happens to faces and not to pictures at large: hidden, badly taken, badly framed."""

from bench.perturb.base import Corruption, Kernel
from bench.perturb.corruptions import face
from bench.perturb.corruptions import face as capture
from bench.perturb.corruptions import face as framing

_RANDOM = {
    "patch", "mask", "sunglasses", "hand", "low_light", "misaligned_rotation", "misaligned_shift",
}  # fmt: skip

_KERNELS: dict[str, Kernel] = {
    "patch": face.patch,
    "mask": face.mask,
    "sunglasses": face.sunglasses,
    "hand": face.hand,
    "low_light": capture.low_light,
    "low_resolution": capture.low_resolution,
    "jpeg_resave": capture.jpeg_resave,
    "misaligned_rotation": framing.misaligned_rotation,
    "misaligned_shift": framing.misaligned_shift,
    "misaligned_scale": framing.misaligned_scale,
    "head_crop": framing.head_crop,
}
_LEVELS = face.FACE | capture.CAPTURE | framing.FRAMING

#: By full name.
CORRUPTIONS: dict[str, Corruption] = {
    f"face.{name}": Corruption(f"face.{name}", kernel, _LEVELS[name], name in _RANDOM)
    for name, kernel in _KERNELS.items()
}
