"""Installed distributions that bring things of their own for the bench.

A distribution names functions as entry points of the group `emodc_bench`, KIND.NAME:

    [project.entry-points.emodc_bench]
    "classifier.my_net" = "my_package.net:my_net"
    "corruption.haze" = "my_package.haze:haze"
    "attack.my_attack" = "my_package.attacks:my_attack"
    "dataset.our_faces" = "my_package.data:OurFaces"
    "rule.my_rule" = "my_package.rules:MyRule"
    "executor.cluster" = "my_package.cluster:execute"

Classifiers, corruptions and attacks are the functions that a config can name with `kind: python`,
and are treated like these: a changed function is measured anew. A data set is a subclass of
`bench.data.readers.Layout`, a rule one of `bench.util.section.Section` with the properties and
methods of those in `bench.rules`; both state their name as the default of the field `kind`. An
executor is called like `bench.sweep.worker.execute`. Nothing is imported until a name is asked for
that the bench itself does not have. No name of the bench can be replaced.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, WrapValidator

from bench.util.errors import UserError

GROUP = "emodc_bench"
KINDS = ("classifier", "corruption", "attack", "dataset", "rule", "executor")


@dataclass(frozen=True)
class Plugin:
    """One entry point.

    Attributes:
        kind: One of `KINDS`.
        name: As in configs and tables.
        value: "module:function".
        distribution: Whose it is, with its version.
    """

    kind: str
    name: str
    value: str
    distribution: str
    entry: EntryPoint

    def load(self) -> Any:
        """Import the function.

        Raises:
            UserError: Naming the distribution, if that fails in whatever way.
        """
        try:
            return self.entry.load()
        except Exception as error:
            raise UserError(
                f"{self.kind} {self.name!r} comes from {self.distribution} and cannot be imported "
                f"from {self.value}: {type(error).__name__}: {error}. Mend or uninstall it."
            ) from error


def installed() -> list[Plugin]:
    """All entry points of the group, by kind and name; nothing is imported.

    Raises:
        UserError: If one is not called KIND.NAME, or two have one name.
    """
    found: dict[tuple[str, str], Plugin] = {}
    for entry in entry_points(group=GROUP):
        kind, _, name = entry.name.partition(".")
        distribution = "an unknown distribution"
        if entry.dist is not None:
            distribution = f"{entry.dist.name} {entry.dist.version}"
        if kind not in KINDS or not name:
            raise UserError(
                f"{distribution} has an entry point {entry.name!r} in the group {GROUP}; names are "
                f"KIND.NAME with a kind of {', '.join(KINDS)}."
            )
        other = found.get((kind, name))
        if other is not None and (other.value, other.distribution) != (entry.value, distribution):
            raise UserError(
                f"{distribution} and {other.distribution} both bring a {kind} {name!r}; uninstall "
                "one of them."
            )
        found[kind, name] = Plugin(kind, name, entry.value, distribution, entry)
    return [found[key] for key in sorted(found)]


def find(kind: str, name: str) -> Plugin | None:
    """The entry point of this kind and name; nothing is imported."""
    return next((own for own in installed() if (own.kind, own.name) == (kind, name)), None)


def function(kind: str, name: str) -> Callable[..., Any] | None:
    """The function that a plugin names; None if there is no such plugin.

    Raises:
        UserError: Naming the distribution, if it cannot be imported or is no function.
    """
    plugin = find(kind, name)
    if plugin is None:
        return None
    found: Callable[..., Any] = plugin.load()
    if not callable(found):
        raise UserError(
            f"{kind} {name!r} of {plugin.distribution}: {plugin.value} must be a function."
        )
    return found


def factory(kind: str, name: str) -> str | None:
    """What `kind: python` calls `factory`, after a first import; None if there is no such plugin.

    Raises:
        UserError: Naming the distribution, if it cannot be imported or is no function.
    """
    plugin = find(kind, name)
    return None if plugin is None or function(kind, name) is None else plugin.value


def section(kind: str, name: str, base: type[BaseModel]) -> Any:
    """The part of a config that a plugin brings, a subclass of `base`; None if there is none.

    Raises:
        UserError: Naming the distribution, if it cannot be imported or is something else.
    """
    plugin = find(kind, name)
    if plugin is None:
        return None
    found = plugin.load()
    whose = f"{kind} {name!r} of {plugin.distribution}: {plugin.value}"
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UserError(f"{whose} must be a subclass of {base.__module__}.{base.__qualname__}.")
    field = found.model_fields.get("kind")
    if field is None or field.default != name:
        raise UserError(f"{whose} must have the field `kind: Literal[{name!r}] = {name!r}`.")
    return found


def or_brought(kind: str, base: type[BaseModel], known: Container[str]) -> WrapValidator:
    """A validator that takes sections of plugins beside those that the field names.

    Args:
        kind: One of `KINDS`.
        base: What a plugin's section is a subclass of.
        known: The names that the bench itself has.
    """

    def validated(content: Any, of_the_bench: Callable[[Any], Any]) -> Any:
        name = content.get("kind") if isinstance(content, Mapping) else None
        if isinstance(content, base) and getattr(content, "kind", None) not in known:
            return content
        if isinstance(name, str) and name not in known:
            brought = section(kind, name, base)
            if brought is not None:
                return brought.model_validate(content)
        return of_the_bench(content)

    return WrapValidator(validated)


def origin(thing: object) -> str | None:
    """The distribution that a thing of a plugin comes from; None if it is the bench's own."""
    value = f"{type(thing).__module__}:{type(thing).__qualname__}"
    return next((own.distribution for own in installed() if own.value == value), None)
