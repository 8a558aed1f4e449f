"""Reports: tables and figures from a store alone; no classifier is loaded.

results.py   reads a store: complete cells measured, missing ones listed
outcomes.py  a cell's rows as columns of numbers; measures.py measures them
groups.py    the results of one data set and run seed, as tables and figures ask for them
attributes.py  groups of pictures; variants.py EmoDC's variants, and pairs of them
traces/      what stored traces say of an EmoDC
spec.py      what a table is and what may stand in it
ranking.py   which number of a column is distinguishable from the others
tables/      what stands in each table
present.py   the one door of a table: Markdown, CSV, JSON, LaTeX (latex.py), terminal
figures/     what is drawn, one module per kind, as PNG, SVG and PDF
chapters.py  which tables and figures stand together
page/        everything on one HTML page
cards.py     a model card per checkpoint
terminal.py  the compact form on a terminal
summary.py   one row per cell: summary.csv, JSON
write.py     everything together: OUT/report/
"""

from bench.report.results import Missing, Results, display_name
from bench.report.terminal import show
from bench.report.write import Report, write_report

__all__ = ["Missing", "Report", "Results", "display_name", "show", "write_report"]
