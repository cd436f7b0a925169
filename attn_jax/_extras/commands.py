"""Imported first by the commands, which train, draw and report."""

from attn_jax._extras import require

require("flax", "optax", "orbax", "rich", "tensorboardX", "tyro", "jinja2", extra="train")
