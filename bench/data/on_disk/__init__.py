"""Data sets made of files, whatever their layout.

`dataset` makes a layout's listing three splits with pictures and a digest, and asks for the terms
of gated data; `examine` opens every picture once and remembers what it found; `packed`
keeps decoded pictures; `verify` asks whether a folder is the data set that it should be, whole and
undamaged, shows what it found and compares two copies by their digests.
"""

from bench.data.on_disk.dataset import ClipFilesDataSet, FilesDataSet, open_layout

__all__ = ["ClipFilesDataSet", "FilesDataSet", "open_layout"]
