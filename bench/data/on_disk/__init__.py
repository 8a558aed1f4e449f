"""Data sets made of files, whatever their layout.

- `dataset`    a layout's listing as a data set: three splits, pictures, digest
- `agreement`  data sets that are given out under one
- `examine`    what only opening a picture tells, remembered (`likeness`: what near copies share)
- `prepare`    fills the cache of decoded pictures, and `packed` reads it
- `purge`      removes what was remembered and prepared
- `workers`    long lists worked through by several processes
"""

from bench.data.on_disk.dataset import ClipFilesDataSet, FilesDataSet, open_layout

__all__ = ["ClipFilesDataSet", "FilesDataSet", "open_layout"]
