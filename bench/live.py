"""Models that are objects of this process, as classifiers of a run.

A config names a classifier of one's own as `factory: "module:function"`. While `offered` runs, this
module has a function for each model that was handed to `bench.evaluate`, so such a model is
measured by the same code as one that a config names.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial, update_wrapper
from typing import Any

from torch import Tensor, nn

from bench.util.errors import UserError

_MODELS: dict[str, nn.Module] = {}


def __getattr__(name: str) -> Callable[[], nn.Module]:
    """The factory of a model that is offered now."""
    if name not in _MODELS:
        raise AttributeError(f"no model called {name!r} is being evaluated in this process")
    model = _MODELS[name]
    factory = partial(_MODELS.__getitem__, name)
    # Whoever asks for the factory's source gets the function's.
    return update_wrapper(factory, model.function) if isinstance(model, FunctionModule) else factory


class FunctionModule(nn.Module):
    """A function, images (B, 3, H, W) -> logits (B, K), as a module without parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        """What the function says."""
        return self.function(images)


def name_of(model: Any) -> str:
    """A model's name in tables: its class or function in lower case, such as `my_network`."""
    words = getattr(model, "__name__", type(model).__name__)
    name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words).lower())
    return name.strip("_") or "model"


@contextlib.contextmanager
def offered(models: Mapping[str, Any]) -> Iterator[dict[str, dict[str, Any]]]:
    """Offer models to a run.

    Measuring freezes a module and switches it to evaluation; afterwards it is as it was before.

    Args:
        models: Torch modules or functions, by the names that tables give them.

    Yields:
        The config's entry for each.

    Raises:
        UserError: If one is neither, or a name is taken.
    """
    modules = {name: _module(name, model) for name, model in models.items()}
    taken = [name for name in modules if name in _MODELS]
    if taken:
        raise UserError(f"the model {taken[0]!r} is being evaluated already.")
    with contextlib.ExitStack() as stack:
        for name, module in modules.items():
            stack.enter_context(_restored(module))
            _MODELS[name] = module
            stack.callback(_MODELS.pop, name)
        yield {name: {"kind": "python", "factory": f"{__name__}:{name}"} for name in modules}


def _module(name: str, model: Any) -> nn.Module:
    if isinstance(model, nn.Module):
        return model
    if callable(model) and not isinstance(model, type):
        return FunctionModule(model)
    raise UserError(
        f"model {name!r}: expected a torch module, a function from images to logits, the name of a "
        f"classifier or its entry in a config, got {type(model).__name__}."
    )


@contextlib.contextmanager
def _restored(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    frozen = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    device = frozen[0][0].device if frozen else None
    try:
        yield
    finally:
        if device is not None:
            module.to(device)
        for part, mode in modes:
            part.training = mode
        for parameter, requires_grad in frozen:
            parameter.requires_grad_(requires_grad)
