"""Data to learn from: arrays out, ready for a jitted step.

A task is a frozen dataclass with ``load()``, which gives numpy arrays by split and bucket;
``sizes``, which fills what a model leaves open; and ``prepare(batch, rng)``, the pure part that
runs on the device.
"""

from attn_jax.tasks.bags import MnistBags
from attn_jax.tasks.mnist.task import Mnist
from attn_jax.tasks.needle import Needle
from attn_jax.tasks.translation import Translation

__all__ = ["Mnist", "MnistBags", "Needle", "Translation"]
