"""What stored traces say of an EmoDC beyond its accuracy; tables and figures show it.

- `traced`: complete cells with their traces
- `steps`: accuracy from part of the steps
- `diagnosis`: errors by prompt and timestep, margins; `example`: one picture
"""
