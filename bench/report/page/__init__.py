"""The report as one page: a single HTML file that opens from disk and asks nothing of a network.

parts.py      what a page holds
cells.py      table values as the template and the sorting want them
pictures.py   figures inside the file
build.py      the page, from page.html.j2, page.css and page.js
assembly.py   the page of a store's results
"""

from bench.report.page.build import Command, FigureFile, Page, PageSection, page_html, write_page

__all__ = ["Command", "FigureFile", "Page", "PageSection", "page_html", "write_page"]
