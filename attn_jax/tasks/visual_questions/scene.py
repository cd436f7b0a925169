"""Scenes of colored shapes, and how they are drawn."""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attn_jax.tasks.canvases.drawing import place
from attn_jax.tasks.visual_questions.picture import Box

__all__ = [
    "COLORS",
    "LARGEST",
    "SHAPES",
    "Thing",
    "allowed_pairs",
    "draw_scene",
    "new_pairs",
    "paint",
]

COLORS = {
    "red": (215, 50, 45),
    "green": (50, 150, 60),
    "blue": (45, 85, 210),
    "yellow": (235, 205, 45),
    "purple": (150, 60, 180),
    "cyan": (60, 195, 205),
}
"""The colors, in red, green and blue."""

SHAPES = ("circle", "square", "triangle", "diamond", "cross")
"""The shapes."""

SMALLEST, LARGEST = 12, 20
"""The sides of the boxes of shapes, in pixels."""

_SHADE, _NOISE = 18, 7


class Thing(NamedTuple):
    """A shape in a scene.

    Attributes:
        shape: One of :data:`SHAPES`.
        color: One of :data:`COLORS`.
        box: The smallest box around it.
    """

    shape: str
    color: str
    box: Box

    @property
    def center(self) -> tuple[float, float]:
        """The row and the column of its middle."""
        top, left, bottom, right = self.box
        return (top + bottom) / 2, (left + right) / 2


@functools.cache
def new_pairs() -> tuple[tuple[str, str], ...]:
    """Return the pairs of a color and a shape that only test pictures have: 5 of the 30.

    Each shape lacks one color in training, and each color but red one shape.

    Example:
        >>> new_pairs()[0]
        ('green', 'cross')
    """
    last = len(COLORS) - 1
    return tuple((color, SHAPES[last - n]) for n, color in enumerate(COLORS) if n)


@functools.cache
def allowed_pairs(split: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of a color and a shape that a split draws: all, or those of training."""
    pairs = ((color, shape) for color in COLORS for shape in SHAPES)
    return tuple(pair for pair in pairs if split == "test" or pair not in new_pairs())


def draw_scene(count: int, split: str, side: int, rng: np.random.Generator) -> tuple[Thing, ...]:
    """Draw different things that do not overlap.

    Args:
        count: The number of things, at most 5.
        split: The split, which decides the pairs of a color and a shape.
        side: The side of the picture in pixels.
        rng: The source of chance.
    """
    allowed = allowed_pairs(split)
    pairs = [allowed[number] for number in rng.permutation(len(allowed))[:count]]
    sides = rng.integers(SMALLEST, LARGEST + 1, count)
    boxes = place([(int(one), int(one)) for one in sides], side, 0.0, rng).tolist()
    return tuple(
        Thing(shape, color, tuple(box)) for (color, shape), box in zip(pairs, boxes, strict=True)
    )


def paint(things: tuple[Thing, ...], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint things on a light ground; their shades vary, and each pixel has noise.

    Args:
        things: The things.
        side: The side of the picture in pixels.
        rng: The source of chance.

    Returns:
        The picture, (side, side, 3).
    """
    ground = rng.uniform(215, 245)
    canvas = ground + _NOISE * rng.standard_normal((side, side, 3), np.float32)
    for thing in things:
        top, left, bottom, right = thing.box
        shade = np.add(COLORS[thing.color], rng.uniform(-_SHADE, _SHADE, 3)) - ground
        canvas[top:bottom, left:right] += _inside(thing.shape, bottom - top)[..., None] * shade
    return np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)


@functools.cache
def _inside(shape: str, side: int) -> NDArray[np.bool_]:
    """Return which pixels of its box belong to a shape, (side, side)."""
    middle = (np.arange(side) + 0.5) / side * 2 - 1
    down, across = middle[:, None], np.abs(middle[None])
    if shape == "circle":
        return down**2 + across**2 <= 1
    if shape == "triangle":
        return across <= (down + 1) / 2
    if shape == "diamond":
        return np.abs(down) + across <= 1
    if shape == "cross":
        return np.minimum(np.abs(down), across) <= 0.3
    return np.ones((side, side), bool)
