"""Reading what is on disk, whoever's it is: what the layouts are written with.

- `tree`         folders: found, listed in natural order, links checked
- `label_files`  text in lines and fields, and the errors that name them
- `tables`       CSV, TSV and Parquet as columns of text
- `images`       pictures as upright 8-bit RGB
- `video`        frames of a video by number
"""
