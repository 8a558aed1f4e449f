"""From YAML to a config, with errors that name the file and the field."""

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


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error, where plain YAML keeps the last value."""

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
