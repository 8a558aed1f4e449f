"""Mutated label files: whatever is in one, a parser returns data or a clear error."""

import random
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.util.errors import UserError

FILES = 10_000
_PER_EXAMPLE = 25

_TOKENS = (
    "", "0", "1", "-1", "7", "8", "12", "99999999999999999999", "1.0", "1e3", "nan", "inf", "1_0",
    "१", "²", "é", "\ufeff", "\u2028", "\x0b", "\x85", "\r", "\n", "\n\n", "\t", " ", ",", ";", '"',
    '""', "'", "\\", "/", "../", "/etc/", "NaN", "None", "=1+1", "\U0001f600", "a" * 300,
)  # fmt: skip


def survives(parse: Callable[[str, str], object], sample: str) -> None:
    """Assert that 10,000 mutations of `sample` give data or a `UserError` that names the file.

    Args:
        parse: (text, name for errors) -> anything; generators must be exhausted by the caller.
        sample: A correct file, a dozen lines long.
    """

    @settings(
        max_examples=FILES // _PER_EXAMPLE,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=8, max_size=8))
    def check(seed: bytes) -> None:
        draws = random.Random(seed)
        for _ in range(_PER_EXAMPLE):
            text = mutated(sample, draws)
            try:
                parse(text, "the-file")
                counts["data"] += 1
            except UserError as error:
                assert "the-file" in str(error)
                assert "\n" not in str(error)
                counts["error"] += 1
            except Exception as error:
                raise AssertionError(f"{type(error).__name__}: {error}\nfor {text!r}") from error

    counts = {"data": 0, "error": 0}
    parse(sample, "the-file")
    check()
    assert sum(counts.values()) >= FILES
    # A fuzzer whose files are all refused, or all accepted, would have tested one branch.
    assert min(counts.values()) > FILES // 200, counts


def mutated(text: str, draws: random.Random) -> str:
    """One to four random changes, of characters, fields or lines."""
    for _ in range(draws.randint(1, 4)):
        text = draws.choice(_MUTATIONS)(text, draws)
    return text


def _splice(text: str, draws: random.Random) -> str:
    start = draws.randint(0, len(text))
    return text[:start] + draws.choice(_TOKENS) + text[start + draws.randint(0, 3) :]


def _truncate(text: str, draws: random.Random) -> str:
    return text[: draws.randint(0, len(text))]


def _lines(text: str, draws: random.Random) -> str:
    rows = text.split("\n")
    place, other = draws.randrange(len(rows)), draws.randrange(len(rows))
    change = draws.randrange(4)
    if change == 0:
        del rows[place]
    elif change == 1:
        rows.insert(other, rows[place])
    elif change == 2:
        rows[place], rows[other] = rows[other], rows[place]
    else:
        rows[place] = rows[place][: draws.randint(0, len(rows[place]))]
    return "\n".join(rows)


def _field(text: str, draws: random.Random) -> str:
    """Replace one field of one line by something that does not belong there."""
    rows = text.split("\n")
    place = draws.randrange(len(rows))
    separator = next((mark for mark in (",", ";", "\t", " ") if mark in rows[place]), " ")
    fields = rows[place].split(separator)
    fields[draws.randrange(len(fields))] = draws.choice(_TOKENS)
    rows[place] = separator.join(fields)
    return "\n".join(rows)


def _final_newline(text: str, draws: random.Random) -> str:
    return text.rstrip("\n") + "\n" * draws.randint(0, 3)


def _separator(text: str, draws: random.Random) -> str:
    return text.replace(*draws.choice(((",", ";"), (" ", "\t"), (" ", "  "), ("\n", "\r\n"))))


_MUTATIONS = (_splice, _truncate, _lines, _field, _final_newline, _separator)
