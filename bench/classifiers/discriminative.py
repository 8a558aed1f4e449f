"""Networks with logits, of pictures or of clips: a baseline, or a user's own."""

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.jit import ScriptModule
from typing_extensions import override

from bench.classifiers.base import Classifier, Measurement, as_images, counted_flops, flops_picture
from bench.classifiers.kinds.python import PythonClassifier
from bench.labels import class_names
from bench.perturb.base import ROWS, filled
from bench.perturb.user_code import loaded, probes, said, source, undisturbed
from bench.perturb.versions import Views
from bench.store.traces import TraceInfo, Traces
from bench.util import rng, runtime
from bench.util.errors import UserError
from emodc.decisions.decide import Rule


class DiscriminativeClassifier(Classifier):
    """A network with logits: a baseline or a user's own."""

    def __init__(
        self, model: nn.Module, classes: Sequence[str], digest: str, device: torch.device
    ) -> None:
        super().__init__(device)
        # A `FaceClassifier` where batches are shared.
        self.model: Any = model.to(device).requires_grad_(False).eval()
        self.classes, self.digest = tuple(classes), digest

    def attack_target(
        self, sample_id: str, every_step: bool = False, fresh: bool = False
    ) -> nn.Module:
        """The network itself."""
        return self.model

    @override
    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        """Pictures of all sizes share batches, each brought to the network's size by itself."""
        if rule is not None or not self.shares_batches:
            return super().measure(pictures, ids, rule)
        with torch.no_grad():
            return self._batch_by_batch(
                pictures, ids, self._of_prepared, self.evaluations, self.model.prepared
            )

    @override
    def measure_views(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], views: Views
    ) -> Measurement:
        """View 0 is measured exactly as by `measure`, on a CPU."""
        info = TraceInfo(
            kind="surprises",
            classes=self.classes,
            precision="float32",
            model=self.digest,
            seed=views.seed,
            steps=views.count,
        )
        alone = self.device.type == "cpu" and not self.shares_batches
        rows = 1 if alone else views.count

        def measure(images: Tensor, names: Sequence[str]) -> tuple[np.ndarray, Traces]:
            surprises = [
                self._surprises(views.of(image, name), rows)
                for image, name in zip(images, names, strict=True)
            ]
            errors = np.stack(surprises)
            numbers = np.tile(np.arange(views.count, dtype=np.int32), (len(errors), 1))
            logits = -errors.mean(axis=2, dtype=np.float64).astype(np.float32)
            return logits, Traces(tuple(names), errors, numbers, info)

        return self._batch_by_batch(pictures, ids, measure, views.count)

    @override
    def flops(self) -> dict[str, float]:
        """Empty for a network whose operations cannot be counted."""
        image = flops_picture(self.device)
        try:
            step = counted_flops(lambda: self.model(image))
        except Exception:  # whatever a network of one's own does under another dispatch
            step = 0.0
        return {"picture": 0.0, "step": step, "evaluation": 0.0} if step else {}

    def _surprises(self, views: Tensor, rows: int) -> np.ndarray:
        """-log p(class | view), float32 (K, V), of views (V, 3, H, W), `rows` at a time."""
        parts = [self._measure(part, [])[0] for part in views.split(rows)]
        logits = torch.from_numpy(np.concatenate(parts)).double()
        surprises: np.ndarray = -torch.log_softmax(logits, dim=1).T.float().numpy()
        return surprises

    @torch.no_grad()
    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        if self.shares_batches:
            return self._of_prepared(self.model.prepared(images), ids)
        return self._logits(self.model(images), len(images)), None

    @torch.no_grad()
    def _of_prepared(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        parts = images.split(ROWS)
        found = [self.model.of_prepared(filled(part))[: len(part)] for part in parts]
        return self._logits(torch.cat(found), len(images)), None

    def _logits(self, found: Tensor, count: int) -> np.ndarray:
        """What the network returned, if it is logits of so many pictures."""
        logits: np.ndarray = found.float().cpu().numpy()
        if logits.shape != (count, len(self.classes)):
            raise UserError(
                f"a classifier of {len(self.classes)} classes ({', '.join(self.classes)}) must "
                f"return logits {(count, len(self.classes))} for {count} pictures, "
                f"got {logits.shape}."
            )
        return logits


class ClipNetworkClassifier(DiscriminativeClassifier):
    """A network of clips: float32 (B, 3, T, H, W) in [0, 1] -> logits."""

    takes_clips = True

    @override
    def flops(self) -> dict[str, float]:
        """Operations of one decision, on a clip as long as those of training."""
        frames = int(getattr(self.model, "frames", 16))
        clip = flops_picture(self.device)[:, :, None].expand(-1, -1, frames, -1, -1)
        return {
            "picture": 0.0,
            "step": counted_flops(lambda: self.model(clip)),
            "evaluation": 0.0,
        }


# ------------------------------------------------------------------------------------------------
# A network of a user's own: it is called on fixed pictures before anything is measured. What it
# returns there, its weights and its source are its identity: whoever changes it measures anew.


class UserNetwork(nn.Module):
    """A user's module: images (B, 3, H, W) -> logits (B, K), or a sentence that says why not.

    Args:
        model: The user's module; it may also return an object with `logits`.
        name: The classifier's name in the config.
        factory: "module:function".
        classes: Class names in logit order.
    """

    _device: nn.Parameter

    def __init__(self, model: nn.Module, name: str, factory: str, classes: Sequence[str]) -> None:
        super().__init__()
        self.model, self.about, self.classes = model, f"{name!r}: {factory}", tuple(classes)
        # Attacks and devices are found through a network's parameters.
        self.register_parameter("_device", nn.Parameter(torch.zeros(0), requires_grad=False))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K).

        Raises:
            UserError: If the module raises, or returns something else.
        """
        try:
            found = self.model(images)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise self.wrong(f"raises {said(error)}", images) from error
        if not isinstance(found, Tensor) and isinstance(getattr(found, "logits", None), Tensor):
            found = found.logits
        if not isinstance(found, Tensor):
            raise self.wrong(f"returns {type(found).__name__}", images)
        if found.shape != (len(images), len(self.classes)):
            raise self.wrong(f"returns a tensor {tuple(found.shape)}", images)
        if not found.is_floating_point():
            raise self.wrong(f"returns {str(found.dtype).removeprefix('torch.')} numbers", images)
        logits: Tensor = found
        return logits

    def wrong(self, what: str, images: Tensor) -> UserError:
        """The sentence for a network that does something else than it must."""
        expected = (len(images), len(self.classes))
        return UserError(
            f"classifier {self.about} makes a network that {what} for float images "
            f"{tuple(images.shape)} in [0, 1]; expected are float logits {expected}, one for each "
            f"of the {len(self.classes)} classes {', '.join(self.classes)}, whatever the height, "
            "width and number of images.",
            1,
        )

    def answers(self) -> np.ndarray | None:
        """Logits of fixed pictures of two sizes, (P, K), made on the CPU in one thread.

        Returns:
            None if two equal calls differ.

        Raises:
            UserError: If it fails on one of them, a second time or on two at once, gives numbers
                that are not finite, or changes its images.
        """
        found = []
        small, large = (as_images(list(pictures)) for pictures in probes())
        with runtime.one_thread(), rng.fenced("classifier", self.about), torch.no_grad():
            for images in (small[:1], small[:1], small, large[:1]):
                given = images.clone()
                logits = self(given).float()
                if not torch.equal(given, images):
                    raise self.wrong("changes the images that it is given, in place", images)
                if not logits.isfinite().all():
                    raise self.wrong("returns NaN or infinite logits", images)
                found.append(logits.numpy().copy())
        return np.concatenate(found[2:]) if np.array_equal(found[0], found[1]) else None

    def blindness(self) -> str:
        """What keeps white-box attacks from seeing where a loss rises; empty: nothing.

        Raises:
            UserError: If the gradient fails, or is not finite.
        """
        moved = False
        for pictures in probes():
            images = as_images([pictures[0]]).to(self._device.device).requires_grad_()
            gradient = None
            with rng.fenced("classifier", self.about), torch.enable_grad():
                logits = self(images)
                try:
                    if logits.requires_grad:
                        loss = nn.functional.cross_entropy(logits.float(), logits.argmax(1))
                        (gradient,) = torch.autograd.grad(loss, images, allow_unused=True)
                except (Exception, SystemExit) as error:
                    raise self.wrong(f"has no gradient, {said(error)}", images) from error
            if gradient is None:
                return "has no gradient (no_grad, detach, argmax, numpy and integers cut it off)"
            if not gradient.isfinite().all():
                raise self.wrong("has a gradient that is NaN or infinite", images)
            moved = moved or bool(gradient.any())
        return "" if moved else "has a gradient that is zero"


class UserClassifier(DiscriminativeClassifier):
    """A network of a user's own.

    Args:
        network: The network.
        digest: Of what it computes.
        deterministic: Whether two equal calls agreed.
        device: Where it computes.
    """

    model: UserNetwork

    def __init__(
        self, network: UserNetwork, digest: str, deterministic: bool, device: torch.device
    ) -> None:
        super().__init__(network, network.classes, digest, device)
        self.deterministic = deterministic

    def probe(self, attacked: bool) -> list[str]:
        """What a user should know before it is measured, a sentence each.

        Args:
            attacked: Whether attacks are planned.

        Raises:
            UserError: If attacks are planned and its gradient fails.
        """
        found = []
        if not self.deterministic:
            found.append(
                f"classifier {self.model.about} makes a network that gives two answers to the same "
                "picture: its numbers are those of one draw, and never bold"
            )
        blind = self.model.blindness() if attacked else ""
        if blind:
            found.append(
                f"classifier {self.model.about} makes a network that {blind}: white-box attacks "
                "are blind, so its accuracy under them is no evidence of robustness; square and "
                "rays need no gradient"
            )
        return found

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        with rng.fenced("classifier", self.digest, *ids):
            return super()._measure(images, ids)


def load_python(name: str, spec: PythonClassifier, device: torch.device) -> UserClassifier:
    """Call a user's factory, and try what it makes.

    Raises:
        UserError: If it cannot be imported, returns something else than it should, or has another
            number of classes than the config.
    """
    about = f"{name!r}: {spec.factory}"
    try:
        factory = loaded(spec.factory)
    except UserError as error:
        raise UserError(f"classifier {name!r}: {_expected(spec)}: {error}") from error
    with (
        _blamed(f"classifier {about} fails"),
        rng.fenced("classifier", spec.factory),
        undisturbed(),
    ):
        model = factory()
    if not isinstance(model, nn.Module):
        raise UserError(f"classifier {name!r}: {_expected(spec)}, got {type(model).__name__}.")
    classes = _class_order(name, spec, model)
    network = UserNetwork(model, name, spec.factory, classes)
    total = hashlib.sha256(json.dumps([spec.factory, classes]).encode())  # rows hold names
    with _blamed(f"classifier {about} makes a network that cannot be read"):
        network.to("cpu").requires_grad_(False).eval()
        answers = network.answers()  # first, for lazy layers
        text = source(spec.factory, factory, *_classes_of(model))
        for part in (text, *sorted(_compiled(model))):
            total.update(part.encode())
        for key, value in sorted((model.state_dict() | dict(model.named_buffers())).items()):
            if isinstance(value, Tensor):
                total.update(key.encode() + _bytes(value))
        if answers is not None:
            total.update(_digits(answers))
        digest = total.hexdigest()[:16]
        return UserClassifier(network, digest, answers is not None, device)


@contextlib.contextmanager
def _blamed(sentence: str) -> Iterator[None]:
    """What a user's code raises is told after the sentence."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{sentence}: {said(error)}.") from error


def _classes_of(model: nn.Module) -> set[type]:
    """The classes of all its modules, less torch's own."""
    return {type(own) for own in model.modules() if not type(own).__module__.startswith("torch.")}


def _compiled(model: nn.Module) -> set[str]:
    """What tells modules apart that TorchScript and FX made: their class is torch's own."""
    inner: set[nn.Module] = set()
    found = set()
    for own in model.modules():
        if isinstance(own, GraphModule):
            found.add(own.code)
        elif isinstance(own, ScriptModule) and own not in inner:
            inner.update(own.modules())
            with ZipFile(io.BytesIO(own.save_to_buffer())) as saved:
                for name in saved.namelist():  # without what says where it was written
                    if name.endswith((".py", "/data.pkl", "/constants.pkl")):
                        content = hashlib.sha256(saved.read(name)).hexdigest()
                        found.add(f"{name.partition('/')[2]} {content}")
    return found


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.detach().cpu()
    plain = plain.dequantize() if plain.is_quantized else plain
    plain = plain.to_dense() if plain.layout is not torch.strided else plain
    plain = torch.view_as_real(plain.resolve_conj()) if plain.is_complex() else plain
    return plain.double().numpy().tobytes()


def _digits(answers: np.ndarray) -> bytes:
    """Answers to three digits: processors and versions of torch differ in the last ones."""
    exponent = int(np.frexp(np.abs(answers).max())[1])
    rounded = np.round(np.ldexp(answers.astype(np.float64), -exponent), 3) + 0.0  # no -0
    return str(exponent).encode() + rounded.tobytes()


def _class_order(name: str, spec: PythonClassifier, model: nn.Module) -> tuple[str, ...]:
    """The config's class order, else the module's own."""
    about = f"classifier {name!r}: the attribute `classes` of the module of {spec.factory}"
    expected = 'must be names in logit order, such as ["neutral", "anger"]'
    with _blamed(f"{about} {expected}"):
        given = getattr(model, "classes", None)
        own: Any = given if given is None or isinstance(given, str) else list(given)
    if spec.class_order is not None:
        declared = class_names(spec.class_order)
        if own is not None and len(own) != len(declared):
            raise UserError(
                f"classifier {name!r}: class_order has {len(declared)} classes, but the attribute "
                f"`classes` of the module of {spec.factory} has {len(own)}."
            )
        return declared
    if own is None:
        raise UserError(
            f"classifier {name!r}: the module of {spec.factory} has no attribute `classes` (names "
            "in logit order); set it there, or set class_order in the config."
        )
    if isinstance(own, str) or not all(isinstance(one, str) for one in own):
        raise UserError(
            f"{about} {expected}, and is {str(given)[:60]}; set it there, or set class_order in "
            "the config."
        )
    try:
        return class_names(own)
    except UserError as error:
        raise UserError(f"{about} {expected}: {error}") from error


def _expected(spec: PythonClassifier) -> str:
    return f"{spec.factory} must be an importable function that returns a torch module"
