"""What lies on disk: cells and their parts, traces, records of data sets, cards of checkpoints."""
