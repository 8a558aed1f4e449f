"""What happens to faces and not to pictures at large: hidden, badly taken, badly framed."""

from bench.perturb.base import Corruption, Kernel
from bench.perturb.corruptions import face

_RANDOM = {
    "patch", "mask", "sunglasses", "hand", "low_light", "misaligned_rotation", "misaligned_shift",
}  # fmt: skip

_KERNELS: dict[str, Kernel] = {
    "patch": face.patch,
    "mask": face.mask,
    "sunglasses": face.sunglasses,
    "hand": face.hand,
    "low_light": face.low_light,
    "low_resolution": face.low_resolution,
    "jpeg_resave": face.jpeg_resave,
    "misaligned_rotation": face.misaligned_rotation,
    "misaligned_shift": face.misaligned_shift,
    "misaligned_scale": face.misaligned_scale,
    "head_crop": face.head_crop,
}
_LEVELS = face.FACE | face.CAPTURE | face.FRAMING

#: By full name.
CORRUPTIONS: dict[str, Corruption] = {
    f"face.{name}": Corruption(f"face.{name}", kernel, _LEVELS[name], name in _RANDOM)
    for name, kernel in _KERNELS.items()
}
