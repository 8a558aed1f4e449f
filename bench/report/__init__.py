"""Reports: tables and figures from a store alone; no classifier is loaded.

results.py   reads a store: complete cells measured, missing ones listed
outcomes.py  a cell's rows as columns of numbers; measures.py measures them
groups.py    the results of one data set and seed, as tables and figures ask for them
summary.py   one row per cell: summary.csv, JSON
spec.py      what a table is and what may stand in it
ranking.py   which number of a column is distinguishable from the others
tables.py    what stands in each table; render/ writes them as Markdown, CSV and LaTeX
variants.py  EmoDC's variants, and pairs of them; ablation.py compares them
steps.py     accuracy from part of an EmoDC's stored steps
figures/     what is drawn, one module per kind, as PNG, SVG and PDF
cards.py     a model card per checkpoint; card_results.py says what it reached
fitted.py    tables for a terminal of any width
page/        everything on one HTML page
terminal.py  the compact form on a terminal
write.py     everything together: OUT/report/
"""

from bench.report.results import Missing, Results, display_name
from bench.report.terminal import show
from bench.report.write import Report, write_report

__all__ = ["Missing", "Report", "Results", "display_name", "show", "write_report"]
