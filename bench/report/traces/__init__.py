"""What stored traces say of an EmoDC beyond its accuracy; tables and figures show it.

- `traced`: complete cells with their traces
- `cost`: accuracy and cost by rule
- `diagnosis`: errors by prompt and timestep, margins; `example`: one picture
"""
