"""Any attack of the package torchattacks by its name, such as `torchattacks.DIFGSM`.

Its global state is fenced: it draws from generators that are seeded for it, prints nothing, and
leaves every module in the mode in which it was. Whatever it returns is brought within the budget.
"""

import contextlib
import inspect
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from bench.perturb.attacks.base import BuiltIn
from bench.util.errors import UserError, unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.perturb.attacks.victim import Victim

PREFIX = "torchattacks."

_GIVEN = ("self", "model", "eps", "norm", "device", "seed", "n_classes", "verbose")
_GUESSED = 10  # gradients of an attack that has no `steps`


@dataclass(frozen=True)
class OfTorchattacks(BuiltIn):
    """An attack of torchattacks.

    Attributes:
        attack: Its class there.
        arguments: Of its constructor, besides model, eps, norm, seed and the number of classes.
    """

    attack: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "torchattacks"
    shares_passes = False  # standard output is caught meanwhile

    @classmethod
    def made(cls, name: str, kind: str, own: Mapping[str, Any]) -> "OfTorchattacks":
        """From a config's entry.

        Args:
            name: As in configs and tables.
            kind: "torchattacks.NAME".
            own: `norm` and `rounding`, and what the constructor takes.

        Raises:
            UserError: If the package is not installed, or has no such attack.
            ValueError: If the attack has no such argument.
        """
        attack = kind.removeprefix(PREFIX)
        norm = own.get("norm", "l2" if attack.endswith(("L2", "CW", "DeepFool")) else "linf")
        if norm not in ("linf", "l2"):
            raise ValueError(f"norm is linf or l2, not {norm!r}")
        arguments = {k: v for k, v in own.items() if k not in ("norm", "rounding")}
        made = cls(name, norm, own.get("rounding"), attack=attack, arguments=arguments)
        known = [one for one in made.signature if one not in _GIVEN]
        for argument in arguments:
            if argument not in known:
                raise ValueError(f"{kind} has no argument {argument!r}; it has {', '.join(known)}")
        return made

    @cached_property
    def signature(self) -> Mapping[str, inspect.Parameter]:
        """Of its constructor.

        Raises:
            UserError: If the package is not installed, or has no such attack.
        """
        if find_spec("torchattacks") is None:
            raise UserError(f"{PREFIX}{self.attack} needs: pip install torchattacks.")
        import torchattacks
        from torchattacks.attack import Attack as Theirs

        known = [
            n
            for n, one in vars(torchattacks).items()
            if isinstance(one, type) and issubclass(one, Theirs) and one is not Theirs
        ]
        if self.attack not in known:
            raise unknown("attack of torchattacks", self.attack, known)
        return inspect.signature(getattr(torchattacks, self.attack)).parameters

    @property
    def queries(self) -> int:
        """Its steps, if it has any."""
        usual = self.signature.get("steps")
        steps = self.arguments.get("steps", usual.default if usual else _GUESSED)
        return max(2, int(steps)) if isinstance(steps, int) else _GUESSED

    def attacked(
        self, images: "Tensor", labels: "Tensor", target: "Victim", eps: float
    ) -> "Tensor":
        """Its result, brought within eps.

        Raises:
            UserError: If it fails.
        """
        import torch
        import torchattacks

        from bench.perturb.attacks.victim import projected

        with torch.no_grad():
            classes = target(images).shape[1]
        given = {
            "eps": eps,
            "norm": {"linf": "Linf", "l2": "L2"}[self.norm],
            "seed": 0,  # of generators that are fenced
            "n_classes": classes,
        }
        given = {k: v for k, v in given.items() if k in self.signature} | dict(self.arguments)
        with _modes_kept(target), contextlib.redirect_stdout(io.StringIO()):
            try:
                with torch.enable_grad():
                    attack = getattr(torchattacks, self.attack)(target, **given)
                    attack.set_device(images.device)
                    found: Tensor = attack(images.contiguous(), labels)
            except UserError:
                raise
            except Exception as error:
                said = " ".join(str(error).split())[:200]
                raise UserError(
                    f"{PREFIX}{self.attack} failed: {type(error).__name__}: {said}.", 1
                ) from error
        return projected(found.detach().to(images), images, eps, self.norm)

    @override
    def parameters(self) -> dict[str, Any]:
        """With the package's version."""
        from importlib.metadata import version

        found = self.all_parameters() | {"torchattacks": version("torchattacks")}
        return found | {"arguments": dict(self.arguments)}


@contextlib.contextmanager
def _modes_kept(module: "nn.Module") -> Iterator[None]:
    before = [(own, own.training) for own in module.modules()]
    try:
        yield
    finally:
        for own, training in before:
            own.training = training
