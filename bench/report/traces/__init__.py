"""What stored traces say of an EmoDC beyond its accuracy; tables and figures show it.

- `traced`: complete cells with their traces
- `reader`: traces that rules can be replayed on; `replay`: a rule on them; `compared`: rules beside
  the full decision; `cost`: all of them, by classifier; `by_steps`: smaller full decisions
- `diagnosis`: errors by prompt and timestep, margins; `example`: one picture
"""
