"""A network that transformers opens as `AutoModelForImageClassification`."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator
from typing_extensions import override

from bench import labels
from bench.classifiers.kinds.base import Brought, register
from bench.util.errors import UserError

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.classifiers.networks import Inputs
    from bench.config import Config

_PROCESSOR = "preprocessor_config.json"
#: Pillow's numbers of the filters that torch has, too.
_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}
#: Steps of processors that change the picture and that we do not do.
_UNKNOWN_STEPS = ("do_pad", "do_convert_grayscale", "rescale_offset", "do_color_quantize")


@register
class HuggingFaceClassifier(Brought):
    """A Hugging Face classifier of pictures; its classes are those of `id2label`."""

    kind: Literal["huggingface"]
    model: Annotated[str, AfterValidator(os.path.expanduser)]  # a folder or a hub id
    revision: str | None = None  # of the hub: a commit, for results that can be repeated

    verdict_seconds: ClassVar[float] = 0.3  # of a ViT-B at 224 px
    flag: ClassVar[tuple[str, str] | None] = ("hf", "model")

    @override
    def check(self, name: str) -> None:
        """A folder must have a config, classes and a processor, an id the form of one."""
        require_place(name, self.model)
        if Path(self.model).is_dir():
            self._described(name, Path(self.model))

    @override
    def identity(self, name: str) -> str:
        """A digest of the weights, their config and their processor's."""
        return folder_digest(name, self._fetched(name))

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        """Nothing is executed or unpickled."""
        from transformers import AutoModelForImageClassification

        from bench.classifiers.discriminative import DiscriminativeClassifier
        from bench.classifiers.networks import PreparedNetwork

        found = self._fetched(name)
        classes, inputs = self._described(name, found)
        digest = self.identity(name)
        network = opened(name, found, AutoModelForImageClassification)
        model = PreparedNetwork(network, inputs, lambda output: output.logits)
        own = DiscriminativeClassifier(model, classes, digest, device)
        own.training = self.declared()
        return own

    def _fetched(self, name: str) -> Path:
        self.check(name)
        return fetched(name, self.model, self.revision)

    def _described(self, name: str, folder: Path) -> "tuple[tuple[str, ...], Inputs]":
        """Classes in logit order, and what the network wants of pictures."""
        config = _read(name, folder / "config.json")
        made_for = config.get("architectures") or []
        if not any(str(one).endswith("ForImageClassification") for one in made_for):
            what = ", ".join(map(str, made_for)) or "no architecture"
            raise UserError(
                f"classifier {name!r}: {folder}/config.json names {what}; kind: huggingface opens "
                "...ForImageClassification."
            )
        weights_of(name, folder)
        return _classes(name, folder, config), inputs_of(name, folder)


def require_place(name: str, model: str, field: str = "model") -> None:
    """Refuse what is neither a folder nor the form of a hub id."""
    if Path(model).is_dir():
        return
    if Path(model).exists():
        from bench.classifiers.kinds.checkpoint import what_it_is  # which imports this file

        raise UserError(f"classifier {name!r}: {field}: it is a folder; {what_it_is(Path(model))}")
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(model)
    except HFValidationError as error:
        raise UserError(f"classifier {name!r}: {field}: there is no folder {model}.") from error


def fetched(name: str, model: str, revision: str | None, also: tuple[str, ...] = ()) -> Path:
    """The folder; of the hub, a copy of what is read: config, processor, weights and `also`."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    patterns = ["config.json", _PROCESSOR, "model*.safetensors*", *also]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises whatever its transport does
        raise UserError(
            f"classifier {name!r}: there is no folder {model}, and as a hub id it could not be "
            f"fetched ({type(error).__name__}). Without a network, give the folder of a download.",
            1,
        ) from error


def folder_digest(name: str, folder: Path, also: tuple[str, ...] = ()) -> str:
    """A digest of the weights, their config, their processor's, and `also` where they are there."""
    total = hashlib.sha256()
    known = [folder / "config.json", folder / _PROCESSOR, *weights_of(name, folder)]
    for path in [*known, *(folder / one for one in also if (folder / one).is_file())]:
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def opened(name: str, folder: Path, auto: Any, optional: str = "") -> Any:
    """A model of transformers with all its weights; nothing is executed or unpickled.

    Args:
        name: Names the classifier in errors.
        folder: Of the model.
        auto: Class of transformers that opens it, such as `AutoModel`.
        optional: A part of it that is left out where the folder has no weights for it.

    Raises:
        UserError: If it cannot be opened, or tensors are missing: transformers would fill them up
            with random numbers.
    """
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # the bench shows its own
    try:
        network, info = auto.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever transformers raises at a damaged file
        raise UserError(f"classifier {name!r}: {folder} cannot be opened: {error}", 1) from error
    lacking = [*info["missing_keys"], *info["mismatched_keys"]]
    if optional and lacking and all(key.startswith(f"{optional}.") for key in lacking):
        setattr(network, optional, None)
        lacking = []
    if lacking:
        raise UserError(
            f"classifier {name!r}: {folder} has no fitting weights for {len(lacking)} tensors, "
            f"such as {lacking[0]}."
        )
    return network


def _read(name: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"classifier {name!r}: {path} cannot be read ({error}). A folder for kind: huggingface "
            f"is written by save_pretrained, of the model and of its image processor."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"classifier {name!r}: {path} is not a mapping.")
    return content


def weights_of(name: str, folder: Path) -> list[Path]:
    """Its files of weights, refused if there are none that are safe to read."""
    found = sorted(folder.glob("model*.safetensors*"))
    if not found:
        raise UserError(
            f"classifier {name!r}: {folder} has no model.safetensors. Pickled weights (.bin) are "
            "not read: open them in transformers and save_pretrained(folder) once."
        )
    return found


def _classes(name: str, folder: Path, config: dict[str, Any]) -> tuple[str, ...]:
    """The vocabulary's words for `id2label`, in the order of the ids."""
    given = config.get("id2label")
    given = given if isinstance(given, dict) else {}
    where = f"classifier {name!r}: id2label in {folder}/config.json"
    if set(given) != {str(number) for number in range(len(given))}:
        raise UserError(f"{where} must name the classes 0, 1, ..., and has {', '.join(given)}.")
    names = [str(given[str(number)]) for number in range(len(given))]
    strange = [one for one in names if not labels.is_known(one)]
    if strange:
        raise UserError(
            f"{where} has names that are no expressions: {', '.join(strange)}. Correct them there; "
            f"known are {', '.join(labels.BASIC)}, {labels.CONTEMPT} and their usual spellings."
        )
    try:
        return labels.class_names(names)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def inputs_of(name: str, folder: Path) -> "Inputs":
    """What `preprocessor_config.json` asks for."""
    from bench.classifiers.networks import Inputs

    asked = _read(name, folder / _PROCESSOR)
    where = f"classifier {name!r}: {folder / _PROCESSOR}"
    steps = [step for step in _UNKNOWN_STEPS if asked.get(step)]
    number = asked.get("resample", 2)
    if steps or number not in _FILTERS:
        what = steps[0] if steps else f"resample: {number}"
        raise UserError(f"{where} asks for {what}, which is not known here. Use kind: python.")
    try:
        size = _sides(asked["size"]) if asked.get("do_resize", True) else None
        crop = None
        cut, side = asked.get("crop_pct"), asked.get("size")
        if size and len(size) == 1 and cut and isinstance(side, dict):  # ConvNeXT's
            crop = (size[0], size[0])
            size = (int(size[0] / cut),) if size[0] < 384 else crop
        if asked.get("do_center_crop"):
            kept = _sides(asked["crop_size"])
            crop = (kept[0], kept[-1])
        plain = not asked.get("do_normalize", True)
        return Inputs(
            size=size,
            crop=crop,
            interpolation=_FILTERS[number],
            mean=(0.0,) * 3 if plain else tuple(map(float, asked["image_mean"])),
            std=(1.0,) * 3 if plain else tuple(map(float, asked["image_std"])),
            scale=255 * float(asked.get("rescale_factor", 1 / 255))
            if asked.get("do_rescale", True)
            else 255.0,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} is not an image processor's: {error!r}.") from error


def _sides(size: Any) -> tuple[int, ...]:
    if isinstance(size, dict):
        keys = ("height", "width") if "height" in size else ("shortest_edge",)
        return tuple(int(size[key]) for key in keys)
    return (int(size), int(size))
