"""Two runs, or two classifiers, on the same pictures: `bench compare`.

sides.py      what is compared, from what is typed
pairing.py    cells of both on identical samples; what is refused, and why
rows.py       differences with intervals, tests and what n could show
table.py      the rows as a table, as JSON and in sentences
terminal.py   the same on a screen
"""

from bench.compare.pairing import Pairing, Side, pair, sides
from bench.compare.rows import Row, compare

__all__ = ["Pairing", "Row", "Side", "compare", "pair", "sides"]
