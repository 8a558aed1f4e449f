"""The kinds of classifiers: one file each, found by themselves.

`ClassifierConfig` is a classifier's entry in a config: the kind that its field `kind` names.
"""

import importlib
import pkgutil
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from bench.classifiers.kinds.base import KINDS, Kind, kind_of, seen, trained_with
from bench.util.errors import unknown

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def _of_its_kind(content: Any) -> Any:
    if isinstance(content, Kind):
        return content
    if not isinstance(content, dict) or "kind" not in content:
        raise ValueError(f"a classifier is a mapping with a kind: {', '.join(KINDS)}")
    if content["kind"] not in KINDS:
        raise ValueError(str(unknown("kind of classifier", str(content["kind"]), KINDS)))
    return KINDS[content["kind"]].model_validate(content)


ClassifierConfig = Annotated[SerializeAsAny[Kind], BeforeValidator(_of_its_kind)]

__all__ = ["KINDS", "ClassifierConfig", "Kind", "kind_of", "seen", "trained_with"]
