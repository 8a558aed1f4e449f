"""The kinds of classifiers: one file each, found by themselves.

`ClassifierConfig` is a classifier's entry in a config: the kind that its field `kind` names.
"""

import importlib
import pkgutil
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from bench import plugins
from bench.classifiers.kinds.base import KINDS, Kind, kind_of, seen, trained_with
from bench.util.errors import unknown

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def _of_its_kind(content: Any) -> Any:
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


ClassifierConfig = Annotated[SerializeAsAny[Kind], BeforeValidator(_of_its_kind)]

__all__ = ["KINDS", "ClassifierConfig", "Kind", "kind_of", "seen", "trained_with"]
