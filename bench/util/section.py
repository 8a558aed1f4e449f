"""What every part of a config is: closed to unknown fields, and immutable; and how it is read."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from bench.util.errors import did_you_mean
from bench.util.files import expanded

#: A path in a config; `~` is the home folder.
UserPath = Annotated[Path, AfterValidator(expanded)]

LONGEST_NAME = 100

#: A name that a person gives, and that becomes a folder.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=LONGEST_NAME)]


def _importable(factory: str) -> str:
    if re.fullmatch(r"[\w.]+:\w+", factory) and ".py:" not in factory:
        return factory
    path, _, function = factory.rpartition(":") if ":" in factory else (factory, "", "")
    module = path.removeprefix("./").removesuffix(".py").strip("/").replace("/", ".")
    raise ValueError(
        f'it is "module:function", as `from module import function` has them, such as '
        f'"{module or "my_module"}:{function or "function"}", not {factory!r}'
    )


#: A function of a user's own: "module:function".
Factory = Annotated[str, AfterValidator(_importable)]


class Section(BaseModel):
    """A part of a config."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_not_yes(cls, content: Any) -> Any:
        """`limit: yes` would be a limit of 1."""
        for name, value in content.items() if isinstance(content, dict) else ():
            field = cls.model_fields.get(str(name))
            given = value if isinstance(value, list) else [value]
            if field is not None and any(isinstance(one, bool) for one in given):
                kinds = _kinds(field.annotation)
                if kinds & {int, float} and bool not in kinds:
                    raise ValueError(f"{name} is a number, and not yes or no (true or false)")
        return content


def _kinds(annotation: Any) -> set[Any]:
    """The types in an annotation."""
    own = {annotation} if isinstance(annotation, type) else set()
    return own.union(*map(_kinds, get_args(annotation)))


def sentences(error: ValidationError) -> str:
    """What is wrong with which fields."""
    return "; ".join(map(_sentence, error.errors()))


def _sentence(error: Any) -> str:
    *above, last = error["loc"] or ("",)
    field = ".".join(map(str, above if last == "[key]" else error["loc"]))
    given, about = error["input"], error.get("ctx", {})
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _fields(Section)
        if str(last) in known:
            return f"unknown field {field!r}: it belongs elsewhere, see docs/configuration.md"
        hint = did_you_mean(str(last), known, cutoff=0.7)
        return (
            f"unknown field {field!r}. {hint or 'See docs/configuration.md for those that exist'}"
        )
    if error["type"] == "missing":
        return f"field {field!r} is missing"
    if error["type"] == "value_error":  # our own sentence, which names what was given
        return f"field {field!r}: {about['error']}".removesuffix(".")
    if last == "[key]":
        return (
            f"field {field!r}: {given!r} is no name; names are at most {LONGEST_NAME} lower-case "
            "letters (a to z), digits and _, and do not begin with _"
        )
    said = error["msg"][:1].lower() + error["msg"][1:]
    if error["type"] in ("dict_type", "model_type", "model_attributes_type", "dataclass_type"):
        said = "it is a mapping of fields"
    elif error["type"] == "path_type":
        said = "it is a path"
    elif error["type"] == "union_tag_invalid":
        kinds = re.findall(r"'([^']+)'", about["expected_tags"])
        hint = did_you_mean(about["tag"], kinds) or f"Known: {', '.join(kinds)}"
        return f"field {field!r}: there is no kind called {about['tag']!r}. {hint}"
    return f"field {field!r}: {said}, got {given!r}"


def _fields(section: type[BaseModel]) -> set[str]:
    """Names of the fields of all sections that there are, and of the dataclasses in them."""
    inner = [_fields(child) for child in section.__subclasses__()]
    settings = [_of_dataclasses(field.annotation) for field in section.model_fields.values()]
    return set(section.model_fields).union(*inner, *settings)


def _of_dataclasses(annotation: Any) -> set[str]:
    if dataclasses.is_dataclass(annotation):
        return {field.name for field in dataclasses.fields(annotation)}
    return set().union(*map(_of_dataclasses, get_args(annotation)))


# ------------------------------------------------------------------------------------------------
# YAML of people's: files, and values of flags.


def from_yaml(text: str) -> Any:
    """What YAML says, of plain values alone.

    Raises:
        ValueError: If it is no YAML, has a key twice, or is too large or too deep for a config.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply for a config") from error


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

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A value; one that only looks like a date or a number is told with its line."""
        try:
            found = super().construct_object(node, deep)
            # Text may have pairs of escapes, as JSON writes what is beyond 16 bits.
            if isinstance(found, str) and not found.isascii():
                return found.encode("utf-16", "surrogatepass").decode("utf-16")
            return found
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # Python's types raise as they like: 2001-99-99, !!bool x
            line = node.start_mark.line + 1
            raise yaml.YAMLError(
                f"{str(node.value)[:40]!r} in line {line} is no value of its kind ({error}); if it "
                "is text, put it in quotes"
            ) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # Asked before the node's merge keys (`<<`) are resolved: overriding a merged value is fine.
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line, meant = key.start_mark.line + 1, self.construct_object(key)  # yes is true
            if meant in lines:
                raise yaml.YAMLError(
                    f"{key.value!r} is given twice, in lines {lines[meant]} and {line}; "
                    "keep one of them"
                )
            lines[meant] = line
        return super().construct_mapping(node, deep)


def _values(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node has with all its aliases written out."""
    if id(node) not in known:
        known[id(node)] = math.inf  # of a node that contains itself
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for own in below for part in (own if isinstance(own, tuple) else (own,))]
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]
