"""Data sets made of files, whatever their layout.

`dataset` makes a layout's listing three splits with pictures and a digest, and asks for the terms
of gated data; `examine` opens every picture once and remembers what it found; `packed` reads
decoded pictures that `prepare` wrote.
"""

from bench.data.on_disk.dataset import ClipFilesDataSet, FilesDataSet, open_layout

__all__ = ["ClipFilesDataSet", "FilesDataSet", "open_layout"]
