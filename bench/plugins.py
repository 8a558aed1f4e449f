"""Installed distributions that bring classifiers, corruptions and attacks of their own.

A distribution names functions as entry points of the group `emodc_bench`, KIND.NAME:

    [project.entry-points.emodc_bench]
    "classifier.my_net" = "my_package.net:my_net"
    "corruption.haze" = "my_package.haze:haze"
    "attack.my_attack" = "my_package.attacks:my_attack"

They are the functions that a config can name with `kind: python`, and are treated like these: a
changed function is measured anew. Nothing is imported until a name is asked for that the bench
itself does not have. No name of the bench can be replaced.
"""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bench.util.errors import UserError

GROUP = "emodc_bench"
KINDS = ("classifier", "corruption", "attack")


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


def factory(kind: str, name: str) -> str | None:
    """What `kind: python` calls `factory`, after a first import; None if there is no such plugin.

    Raises:
        UserError: Naming the distribution, if it cannot be imported or is no function.
    """
    plugin = find(kind, name)
    if plugin is None:
        return None
    if not callable(plugin.load()):
        raise UserError(
            f"{kind} {name!r} of {plugin.distribution}: {plugin.value} must be a function."
        )
    return plugin.value
