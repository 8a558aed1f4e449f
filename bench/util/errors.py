"""Errors a person can cause, and can mend."""

import difflib
import unicodedata
from collections.abc import Iterable


class UserError(Exception):
    """A clear sentence about what is wrong and the way out; shown without a traceback.

    Args:
        message: What is wrong, naming the file, field or flag, and what to do.
        exit_code: 1 for a failure of the work, 2 for a wrong call.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class LaterVersion(UserError):
    """A file that a later version of the bench wrote, which must not be written over."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """`UserError` for a name that does not exist, with the nearest ones that do."""
    known = set(known)
    hint = did_you_mean(name, known) or f"Known: {', '.join(sorted(known))}."
    return UserError(f"There is no {kind} called {name!r}. {hint}")


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """The nearest names, each once: "Did you mean fear or anger?"; "" if none is near.

    Args:
        name: What was given; its case does not matter.
        known: What exists, in any order; a name may come several times.
        cutoff: How alike two names must be, in [0, 1].
    """
    plain: dict[str, str] = {}
    for candidate in sorted(known):
        plain.setdefault(candidate.lower(), candidate)
    alike = difflib.SequenceMatcher(b=name.lower())
    ratios: dict[str, float] = {}
    for candidate in plain:
        for text in {candidate, candidate.rpartition(".")[2]}:  # "imagecorruptions.fog", "fog"
            alike.set_seq1(text)
            ratios[candidate] = max(ratios.get(candidate, 0.0), alike.ratio())
    least = max(cutoff, max(ratios.values(), default=0.0) - 0.2)
    close = sorted((c for c in plain if ratios[c] >= least), key=lambda c: -ratios[c])[:3]
    return f"Did you mean {' or '.join(plain[found] for found in close)}?" if close else ""


def printable(text: str) -> str:
    """The text without what moves a cursor, colours a terminal or turns the reading direction.

    Such characters (controls but line breaks and tabs, U+202E and its like) and what is no text, as
    in names of files that are not UTF-8, stand as their code point: "[U+001B]". Everything else, of
    whatever script, stays.
    """
    return "".join(f"[U+{ord(char):04X}]" if _steers(char) else char for char in text)


def _steers(char: str) -> bool:
    if char.isascii():
        return not char.isprintable() and char not in "\n\t"
    kind = unicodedata.category(char)
    return (
        kind in ("Cc", "Zl", "Zp", "Cs")  # what is no UTF-8 cannot be written either
        or (kind == "Cf" and unicodedata.bidirectional(char) not in ("BN", "L"))
        or char in "\u200e\u200f\u061c"
    )
