"""The kinds of classifiers: one file each, found by themselves.

`ClassifierConfig` is a classifier's entry in a config: the kind that its field `kind` names.
"""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, SerializeAsAny, ValidationError

from bench import plugins
from bench.classifiers.kinds.base import KINDS, Kind, kind_of, seen, trained_with
from bench.util.errors import UserError, unknown
from bench.util.section import from_yaml, sentences

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def of_its_kind(content: Any) -> Any:
    if isinstance(content, Kind):
        return content
    if not isinstance(content, dict) or "kind" not in content:
        raise ValueError(f"a classifier is a mapping with a kind: {', '.join(KINDS)}")
    kind = str(content["kind"])
    if kind in KINDS:
        return KINDS[kind].model_validate(content)
    factory = plugins.factory("classifier", kind)  # of an installed distribution
    if factory is None:
        raise ValueError(str(unknown("kind of classifier", kind, KINDS)))
    return KINDS["python"].model_validate({**content, "kind": "python", "factory": factory})


def named_kinds() -> dict[str, type[Kind]]:
    """The kinds that `entry` opens, by the word in front of the colon; "fer" is a checkpoint."""
    kinds = {kind.flag[0]: kind for kind in KINDS.values() if kind.flag is not None}
    return {**kinds, "fer": KINDS["checkpoint"]}


def entry(text: str) -> tuple[str, Kind]:
    """A classifier that is named in a line, and its name in tables.

    Args:
        text: [NAME=]KIND:WHAT[,FIELD=VALUE...], such as "hf:FOLDER", "python:module:function",
            "mine=timm:resnet18,checkpoint=net.safetensors,classes=raf_db" or "fer:face-api", which
            is imported to models/face-api if it is not there yet.

    Raises:
        UserError: If it says something else.
    """
    kinds = named_kinds()
    named = re.match(r"(?:(?P<name>[\w-]+)=)?(?P<kind>\w+):(?P<rest>.+)", text)
    if named is None:
        ways = ", ".join(f"{prefix}:..." for prefix in kinds)
        raise UserError(f"a model is given as {ways}, or NAME=..., not {text!r}.")
    what, *options = re.split(r",(?=\w+=)", named["rest"])
    name = (
        named["name"] or re.sub(r"\W+", "_", Path(what.rpartition(":")[2]).stem).lower() or "model"
    )
    if named["kind"] == "fer":
        from bench.classifiers.load import imported

        content: dict[str, Any] = {"kind": "checkpoint", "path": str(imported(what))}
    elif named["kind"] in kinds:
        kind = kinds[named["kind"]]
        assert kind.flag is not None
        (own,) = get_args(kind.model_fields["kind"].annotation)
        content = {"kind": own, kind.flag[1]: what}
    else:
        raise unknown("kind of model", named["kind"], kinds)
    for option in options:
        field, _, value = option.partition("=")
        try:
            content[field] = from_yaml(value)
        except ValueError as error:
            raise UserError(f"{text}: {field}={value} is not a value.") from error
    try:
        return name, of_its_kind(content)
    except ValidationError as error:
        raise UserError(f"{text}: {sentences(error)}.") from error


ClassifierConfig = Annotated[SerializeAsAny[Kind], BeforeValidator(of_its_kind)]

__all__ = [
    "KINDS",
    "ClassifierConfig",
    "Kind",
    "entry",
    "kind_of",
    "named_kinds",
    "seen",
    "trained_with",
]
