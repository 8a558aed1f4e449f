"""Tables written: one spec as Markdown, CSV and LaTeX, and its numbers as LaTeX macros.

as_markdown.py  for reading on a screen
as_csv.py       for programs: bare numbers, with the ends of their intervals in columns of their own
as_latex.py     for a paper; latex_parts.py cuts a table to the page, latex_text.py escapes text
macros.py       every number by a key, so that prose can cite it
columns.py      what the formats share: kinds of columns, notes on marks
write.py        all of it as files: OUT/report/tables/
"""

from bench.report.render.latex import latex
from bench.report.render.text import csv_text, markdown, markdown_text
from bench.report.render.write import macros, write_tables

__all__ = ["csv_text", "latex", "macros", "markdown", "markdown_text", "write_tables"]
