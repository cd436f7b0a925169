"""Tokens before the patches of an image, such as a class token and registers."""

from collections.abc import Mapping, Sequence
from operator import index

from attn_jax.plot.labels import label_text


def prefix_names(prefix_tokens: int | Sequence[object]) -> tuple[int, list[str] | None]:
    """Return the number of prefix tokens, and their names if they were given.

    Args:
        prefix_tokens: The number, or the names.
    """
    if isinstance(prefix_tokens, str | bytes):
        prefix_tokens = [prefix_tokens]
    if isinstance(prefix_tokens, Sequence):
        return len(prefix_tokens), [label_text(name) for name in prefix_tokens]
    return index(prefix_tokens), None


def patch_labels(
    prefix: Sequence[str], grid: tuple[int, int] | None, shapes: Mapping[str, tuple[int, int]]
) -> dict[str, list[str]]:
    """Return labels of prefix tokens and patches, by layer.

    Args:
        prefix: Names of the tokens before the patches.
        grid: Rows and columns of the patches; without it the others are named by their number.
        shapes: Shape of the maps of each layer.

    Raises:
        ValueError: If a layer has fewer tokens than there are names.
    """
    labels = {}
    for layer, shape in shapes.items():
        patches = range(shape[1] - len(prefix))
        if not patches:
            raise ValueError(
                f"prefix_tokens names {len(prefix)} tokens, but {layer!r} has {shape[1]} keys; "
                "name only those before the patches."
            )
        names = [str(len(prefix) + patch) for patch in patches]
        if grid is not None and grid[0] * grid[1] == len(patches):
            names = [f"row {p // grid[1]}, column {p % grid[1]}" for p in patches]
        labels[layer] = [*prefix, *names]
    return labels
