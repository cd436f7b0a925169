"""Imported first by the training loop."""

from attn_jax._extras import require

require("optax", "orbax", "rich", "tensorboardX", extra="train")
