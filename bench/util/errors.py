"""Errors a person can cause, and can mend."""

import difflib
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


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """`UserError` for a name that does not exist, with the nearest ones that do."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(names)}."
    return UserError(f"There is no {kind} called {name!r}. {hint}")
