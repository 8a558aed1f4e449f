"""What can be wrong with a checkpoint."""


class CheckpointError(ValueError):
    """A checkpoint folder that is incomplete, damaged or of another kind."""
