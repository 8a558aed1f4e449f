"""Corruptions and attacks of a user's own: `kind: python` and `factory: "module:function"`.

A corruption is a function of pictures, a severity and one generator per picture::

    def my_fog(pictures, severity, draws):  # uint8 RGB (N, H, W, 3), int, N numpy generators
        return pictures // 2 + 40 * severity  # uint8 (N, H, W, 3)

An attack is a function of images, labels, a classifier and a budget::

    def my_attack(images, labels, logits, eps):  # float32 (1, 3, H, W) in [0, 1], int64 (1,)
        images = images.requires_grad_()
        loss = torch.nn.functional.cross_entropy(logits(images), labels)
        step = torch.autograd.grad(loss, images)[0].sign()
        return (images + eps * step).clamp(0, 1)  # within eps of the images

Before anything is measured both are called on fixed pictures. What they return there, and their
source, are in the ids of cells: whoever changes the function measures anew.
"""

import functools
import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from bench.perturb.attacks import Attack, any_budget
from bench.perturb.base import SEVERITIES, Address, ModelFree
from bench.util import rng
from bench.util.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_SIZES = ((40, 32), (64, 64))  # of the pictures that functions are tried on
_OTHERS = {"torch", "torchvision", "numpy", "importlib"}  # libraries whose lines help nobody
_LONGEST = 300  # characters of an error's message
_SLACK = 1e-5  # by which an adversarial image may leave its budget, of [0, 1]: rounding


@dataclass(frozen=True)
class UserCorruption(ModelFree):
    """A corruption of a user's own.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        factory: "module:function".
    """

    name: str
    factory: str
    family = "corruption"
    user_code = True

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """Severities 1 to 5."""
        return tuple(map(str, SEVERITIES))

    def parameters(self) -> dict[str, Any]:
        """Name, function and a digest of its source."""
        return {"name": self.name, "function": self.factory, "source": _source(self.factory)}

    def inputs(self, level: str) -> dict[str, Any]:
        """With a digest of what the function makes of fixed pictures."""
        return super().inputs(level) | {"outputs": _corrupted_probe(self, level)}

    @override
    def changed(
        self, pictures: np.ndarray, level: str, address: Address, ids: Sequence[str]
    ) -> np.ndarray:
        """What the function returns, checked.

        Raises:
            UserError: If the function raises, or returns something else than it should.
        """
        severity = int(level)
        draws = [
            rng.generator(address.seed, address.dataset, name, self.name, severity) for name in ids
        ]
        found = _called(self.factory, pictures.copy(), severity, draws)
        expected = f"uint8 {pictures.shape}, as it was given"
        if not isinstance(found, np.ndarray):
            raise _wrong(self.factory, expected, type(found).__name__)
        if found.dtype != np.uint8 or found.shape != pictures.shape:
            raise _wrong(self.factory, expected, f"{found.dtype} {found.shape}")
        return found


@dataclass(frozen=True)
class UserAttack(Attack):
    """An attack of a user's own.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        factory: "module:function".
    """

    name: str
    factory: str
    user_code = True

    @property
    def queries(self) -> int:
        """A guess, as for PGD."""
        return 10

    def parameters(self) -> dict[str, Any]:
        """Name, function and a digest of its source."""
        return {"name": self.name, "function": self.factory, "source": _source(self.factory)}

    def inputs(self, level: str) -> dict[str, Any]:
        """With a digest of what the function makes of fixed pictures and a fixed network."""
        return super().inputs(level) | {"outputs": _attacked_probe(self, level)}

    @override
    def attacked(self, images: "Tensor", labels: "Tensor", target: Any, eps: float) -> "Tensor":
        """What the function returns, checked.

        Raises:
            UserError: If the function raises, or returns something else than it should.
        """
        import torch

        given = images.detach().clone()
        found = _called(self.factory, images.detach().clone(), labels, target, eps)
        expected = f"images {tuple(given.shape)} in [0, 1] within eps of those given"
        if not isinstance(found, torch.Tensor):
            raise _wrong(self.factory, expected, type(found).__name__)
        found = found.detach()
        if found.shape != given.shape or not found.is_floating_point():
            dtype = str(found.dtype).removeprefix("torch.")
            raise _wrong(self.factory, expected, f"{dtype} {tuple(found.shape)}")
        if not found.isfinite().all():
            raise _wrong(self.factory, expected, "values that are no finite numbers")
        low, high = float(found.min()), float(found.max())
        if low < -_SLACK or high > 1 + _SLACK:
            raise _wrong(self.factory, expected, f"values from {low:.4g} to {high:.4g}")
        moved = float((found.to(given) - given).abs().max())
        if moved > eps + _SLACK:
            got = f"a change of {moved * 255:.4g}/255 for eps {eps * 255:g}/255"
            raise _wrong(self.factory, expected, got)
        return found.to(given)


def loaded(factory: str) -> Callable[..., Any]:
    """The function that "module:function" names.

    Raises:
        UserError: If there is no such function.
    """
    module, _, name = factory.partition(":")
    sys.path.insert(0, "")  # `bench` is a script: the working folder is not on the path by itself
    try:
        function = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise UserError(f"{factory} cannot be imported: {said(error)}.") from error
    finally:
        sys.path.remove("")
    if not callable(function):
        raise UserError(f"{factory} must be a function, and is {type(function).__name__}.")
    found: Callable[..., Any] = function
    return found


def _called(factory: str, *arguments: Any) -> Any:
    try:
        return loaded(factory)(*arguments)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{factory} failed: {said(error)}.", 1) from error


def said(error: BaseException) -> str:
    """Kind, message and place of an error in a user's code, in one line."""
    places = traceback.extract_tb(error.__traceback__)
    own = [p for p in places if not _OTHERS & {*Path(p.filename).parts} and not _of_bench(p)]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    message = " ".join(str(error).split()).rstrip(".")
    message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."
    return f"{type(error).__name__}{message and ': '}{message}{where}"


def _of_bench(place: traceback.FrameSummary) -> bool:
    path = Path(place.filename)
    return path.is_relative_to(Path(__file__).parents[1]) or "<frozen" in place.filename


def _wrong(factory: str, expected: str, got: str) -> UserError:
    return UserError(f"{factory} must return {expected}; it returned {got}.", 1)


def source(thing: Any, otherwise: str) -> str:
    """Source of a function or class; `otherwise` where it has none, as in an interpreter."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return otherwise


def _source(factory: str) -> str:
    """Digest of the function's source; of its name where it has none."""
    return hashlib.sha256(source(loaded(factory), factory).encode()).hexdigest()[:12]


def probes() -> list[np.ndarray]:
    """Fixed pictures of two sizes, uint8 (2, H, W, 3): soft gradients with some noise."""
    found = []
    for height, width in _SIZES:
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        soft = np.stack([y, x, 1 - y * x], axis=-1) * 160 + 40
        noise = [rng.generator("probe", n).integers(-40, 40, (height, width, 3)) for n in range(2)]
        found.append(np.stack([soft + own for own in noise]).clip(0, 255).astype(np.uint8))
    return found


@functools.lru_cache(maxsize=256)
def _corrupted_probe(corruption: UserCorruption, level: str) -> str:
    """Digest of what becomes of the probes; each has to depend on itself and its draws alone."""
    address, ids, total = Address(0, "probe"), ["0", "1"], hashlib.sha256()
    for pictures in probes():
        found = corruption.changed(pictures, level, address, ids)
        if not np.array_equal(found, corruption.changed(pictures, level, address, ids)):
            raise UserError(
                f"{corruption.factory} returned two results for the same pictures. It must draw "
                "from the generators that it is given, one per picture, and from nothing else."
            )
        for i, name in enumerate(ids):
            alone = corruption.changed(pictures[i : i + 1], level, address, [name])
            if not np.array_equal(found[i], alone[0]):
                raise UserError(
                    f"{corruption.factory} makes something else of a picture when others stand "
                    "beside it. It must treat each picture alone, with its own generator."
                )
        total.update(found.tobytes())
    return total.hexdigest()[:12]


@functools.lru_cache(maxsize=256)
def _attacked_probe(attack: UserAttack, level: str) -> str:
    """Digest of what becomes of the probes under a small network with fixed weights."""
    import torch

    weights = rng.generator("probe", "network").standard_normal((3, 3, 5, 5)).astype(np.float32)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 3, 5, bias=False),
        torch.nn.Softplus(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    network.load_state_dict({"0.weight": torch.from_numpy(weights)})
    total = hashlib.sha256()
    for pictures in probes():
        for number, picture in enumerate(pictures):
            found = [
                attack(
                    *(picture, number, network, any_budget(level)),
                    seed=0,
                    dataset="probe",
                    sample_id=str(number),
                )
                for _ in range(2)
            ]
            if not np.array_equal(found[0], found[1]):
                raise UserError(
                    f"{attack.factory} returned two results for the same image. It must draw from "
                    "torch's, numpy's or Python's global generators, which are seeded for it."
                )
            total.update(np.rint(found[0]).astype(np.uint8).tobytes())
    return total.hexdigest()[:12]
