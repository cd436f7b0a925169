"""Whole networks made of `attn_jax.nn` modules."""
