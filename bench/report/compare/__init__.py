"""Two runs, or two classifiers, on the same pictures: `bench compare`.

pairing.py    what is compared, cells of both on identical samples; what is refused, and why
rows.py       differences with intervals, tests and what n could show
table.py      the rows as a table, as JSON, in sentences and on a screen
"""

from bench.report.compare.pairing import Pairing, Side, pair, sides
from bench.report.compare.rows import ComparedRow, compare

__all__ = ["ComparedRow", "Pairing", "Side", "compare", "pair", "sides"]
