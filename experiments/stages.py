"""Lines in the terminal for what a run does after its last epoch."""


def announce(doing: str) -> None:
    """Print what is being done, at once.

    Args:
        doing: What, as in `"Drawing the figures"`.

    Example:
        >>> from experiments.stages import announce
        >>> announce("Drawing the figures")
        Drawing the figures …
    """
    print(f"{doing} …", flush=True)
