"""Reports: tables and figures from a store alone; no classifier is loaded.

outcomes.py  a cell's rows as columns of numbers, and what is measured on them, with its interval
results.py   reads a store: complete cells measured, missing ones listed; groups of pictures
replay.py    rules on stored traces
spec.py      what a table is, its caption, and a classifier under every corruption
ranking.py   which number of a column is distinguishable from the others
tables/      what stands in each table
present.py   the one door of a table: Markdown, CSV, JSON, LaTeX (latex.py), terminal
figures/     what is drawn, one module per kind
page.py      chapters of tables and figures, on one HTML page; findings.py stands first on it
cards.py     a model card per checkpoint
terminal.py  the compact form on a terminal
write.py     everything together: OUT/report/; summary.csv, one row per cell
publish.py   a leaderboard of several runs, as a site
compare.py   which cells `bench compare` compares, and how they differ
"""

from bench.report.results import Missing, Results, display_name
from bench.report.terminal import show
from bench.report.write import Report, write_report

__all__ = ["Missing", "Report", "Results", "display_name", "show", "write_report"]
