"""The error of checkpoints."""


class PretrainedError(ValueError):
    """A checkpoint that is missing, damaged, or of a kind that is not known."""
