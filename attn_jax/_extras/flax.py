"""Imported first by packages whose modules are Flax's."""

from attn_jax._extras import require

require("flax", extra="flax")
