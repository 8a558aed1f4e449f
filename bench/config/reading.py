"""From YAML to a config, with errors that name the file and the field."""

import math
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bench.config.run import Config
from bench.util import files
from bench.util.errors import UserError, unknown
from bench.util.section import sentences


def load(path: Path) -> Config:
    """Read a YAML config.

    Raises:
        UserError: Naming the file, the field and what is allowed there.
    """
    shipped_name = Path("configs") / path.with_suffix(".yaml").name
    found = path if path.is_file() else files.find(shipped_name)
    if found is None:
        shipped = files.find(Path("configs"))
        known = [p.stem for p in shipped.glob("*.yaml")] if shipped else []
        raise unknown("config file", str(path), known)
    try:
        content = yaml.load(found.read_text(), Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{found} is not YAML: {error}") from error
    return parse(content, str(found))


_MOST_VALUES = 100_000  # of a config; aliases of aliases make more of a few lines


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error, where plain YAML keeps the last value."""

    def construct_document(self, node: yaml.Node) -> Any:
        """The content, refused if its aliases make it too large."""
        if _values(node, {}) > _MOST_VALUES:
            raise yaml.YAMLError(
                f"its aliases (*name) make more than {_MOST_VALUES:,} values of it; write out what "
                "is meant"
            )
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # Asked before the node's merge keys (`<<`) are resolved: overriding a merged value is fine.
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise yaml.YAMLError(
                    f"{key.value!r} is given twice, in lines {lines[key.value]} and {line}; "
                    "keep one of them"
                )
            lines[key.value] = line
        return super().construct_mapping(node, deep)


def _values(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node has with all its aliases written out."""
    if id(node) not in known:
        known[id(node)] = math.inf  # of a node that contains itself
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for own in below for part in (own if isinstance(own, tuple) else (own,))]
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]


def parse(content: Any, origin: str) -> Config:
    """Check a config's content; `origin` names it in errors."""
    if not isinstance(content, dict):
        raise UserError(f"{origin}: a config is a mapping of fields, not {type(content).__name__}.")
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{origin}: {sentences(error)}") from error
    perturbations = config.perturbations.expanded()
    return config.model_copy(update={"perturbations": perturbations})
