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

import ast
import contextlib
import functools
import hashlib
import importlib
import inspect
import os
import re
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from typing_extensions import override

from bench.data.tree import stamp
from bench.perturb.attacks import Attack, any_budget
from bench.perturb.base import SEVERITIES, Address, ModelFree
from bench.util import rng
from bench.util.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_SIZES = ((40, 32), (64, 64))  # of the pictures that functions are tried on
_OTHERS = {"torch", "torchvision", "numpy", "importlib"}  # libraries whose lines help nobody
_BENCH = {"bench", "emodc", "baselines"}
_STANDARD = sysconfig.get_path("stdlib")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
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
    shares_passes = False  # what it sets for the whole process is put back after each call

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
        with undisturbed():
            function = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise UserError(f"{factory} cannot be imported: {said(error)}.") from error
    finally:
        sys.path.remove("")
    if not callable(function):
        raise UserError(f"{factory} must be a function, and is {type(function).__name__}.")
    found: Callable[..., Any] = function
    return found


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Put back what a user's code sets for the whole process.

    The working folder, in which relative paths of the run lie; warnings and numpy's floating-point
    errors that raise; torch's default type, gradient mode and threads.
    """
    import torch

    folder, kind = Path.cwd(), torch.get_default_dtype()
    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    with warnings.catch_warnings(), np.errstate():
        try:
            yield
        finally:
            os.chdir(folder)
            torch.set_default_dtype(kind)
            torch.set_num_threads(threads)
            torch.set_grad_enabled(gradients)


def _called(factory: str, *arguments: Any) -> Any:
    try:
        function = loaded(factory)
        with undisturbed():
            return function(*arguments)
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


def source(home: str, *things: Any) -> str:
    """Source of functions and classes, and of what they use of their user's modules.

    That are helpers, base classes and constants, in whatever file; comments beside the things
    themselves do not count. Of libraries, which have versions, nothing is followed. For what has no
    source, as in an interpreter, its name stands.

    Args:
        home: "module:function" of the user; what its package has is followed, if installed, too.
        *things: The functions and classes.
    """
    found, own, (module, _, name) = _Followed(home), [], home.partition(":")
    found.follow(module, {name})  # what decorates a function hides it
    for thing in things:
        try:
            own.append(inspect.getsource(thing))
        except (OSError, TypeError):
            own.append(getattr(thing, "__qualname__", home))
        outermost = getattr(thing, "__qualname__", "").partition(".")[0]
        found.follow(str(thing.__module__), {outermost})
    return "\n".join([*sorted(own), *(found.texts[key] for key in sorted(found.texts))])


class _Statement(NamedTuple):
    """A statement of a module.

    Attributes:
        line: Where it is.
        text: Its source less comments.
        binds: Names that the module has by it, but for imports.
        uses: Names in it.
        takes: Attributes that it takes of anything: of `helpers.crop` it is "crop".
        imports: In it.
        defines: Whether it is a function or class, whose imports are its own.
    """

    line: int
    text: str
    binds: frozenset[str]
    uses: frozenset[str]
    takes: frozenset[str]
    imports: tuple[ast.Import | ast.ImportFrom, ...]
    defines: bool


class _Followed:
    """What names of a user's modules stand for, and what that refers to.

    Args:
        home: See `source`.

    Attributes:
        texts: Statements by module and line.
    """

    def __init__(self, home: str) -> None:
        self.texts: dict[tuple[str, int], str] = {}
        self._home = re.split(r"[.:]", home)[0]
        self._seen: set[tuple[str, str, frozenset[str]]] = set()

    def follow(self, module: str, names: Set[str], taken: frozenset[str] = frozenset()) -> None:
        """Find what a module binds to names, where whoever asks takes these attributes of it."""
        new = {name for name in names if (module, name, taken) not in self._seen}
        self._seen |= {(module, name, taken) for name in new}
        for one in self._statements(module) if new else ():
            if not one.defines:
                self._imported(module, one, new, taken)
            if one.binds & new and (module, one.line) not in self.texts:
                self.texts[module, one.line] = one.text
                self.follow(module, one.uses, one.takes)
                self._imported(module, one, one.uses, one.takes)

    def _imported(
        self, module: str, one: _Statement, names: Set[str], taken: frozenset[str]
    ) -> None:
        """Follow those of the names that a statement imports."""
        spec = _spec(module)
        package = "" if spec is None else spec.parent or ""
        for node, alias in [(own, alias) for own in one.imports for alias in own.names]:
            bound = alias.asname or alias.name.partition(".")[0]
            if bound not in names and alias.name != "*":
                continue
            if isinstance(node, ast.Import):
                for end in re.finditer(r"\.|$", alias.name):
                    self.follow(alias.name[: end.start()], taken, taken)
                continue
            origin = node.module or ""
            with contextlib.suppress(ImportError):
                if node.level:
                    origin = resolve_name("." * node.level + origin, package)
                self.follow(origin, names if alias.name == "*" else {alias.name}, taken)
                self.follow(f"{origin}.{alias.name}", taken, taken)  # if it is a module

    def _statements(self, module: str) -> tuple[_Statement, ...]:
        """The statements of a user's module; no statement of a library."""
        spec, top = _spec(module), module.partition(".")[0]
        main = getattr(sys.modules.get(module), "__file__", None)  # a script has no spec
        file = Path((main if spec is None else spec.origin) or "")
        library = file.is_relative_to(_STANDARD) or {"site-packages", "dist-packages"} & {
            *file.parts
        }
        if file.suffix != ".py" or top in _BENCH or (library and top != self._home):
            return ()
        return _statements(file, stamp(str(file.parent), file.name))


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is, also one that nobody has imported yet, and that is not imported now."""
    spec: ModuleSpec | None = getattr(sys.modules.get(module), "__spec__", None)
    if spec is not None:
        return spec
    above, _, _ = module.rpartition(".")
    if not above:
        return PathFinder.find_spec(module, ["", *sys.path])
    spec = _spec(above)
    folders = None if spec is None else spec.submodule_search_locations
    return PathFinder.find_spec(module, list(folders)) if folders else None


def _stored(node: ast.AST) -> ast.Name | None:
    """The name that a node binds, or whose item or attribute it sets."""
    if not isinstance(getattr(node, "ctx", None), ast.Store):
        return None
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node if isinstance(node, ast.Name) else None


@functools.lru_cache(maxsize=64)
def _statements(file: Path, state: tuple[int, ...]) -> tuple[_Statement, ...]:
    """The statements of a file; `state`, its `stamp`, only tells when to read it anew."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return ()
    found = []
    for one in body:
        nodes = list(ast.walk(one))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        defined = [one] if isinstance(one, _DEFINITIONS) else []
        if not defined:
            defined = [node for node in nodes if isinstance(node, _DEFINITIONS)]
        bound = [root.id for node in nodes if (root := _stored(node)) is not None]
        found.append(
            _Statement(
                one.lineno,
                ast.unparse(one),
                frozenset([*(own.name for own in defined), *([] if one in defined else bound)]),
                frozenset(node.id for node in names),
                frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute)),
                tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)),
                one in defined,
            )
        )
    return tuple(found)


def _source(factory: str) -> str:
    """Digest of the function's source; of its name where it has none."""
    return hashlib.sha256(source(factory, loaded(factory)).encode()).hexdigest()[:12]


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
