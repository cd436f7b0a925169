"""Attention with several heads, and the ways to mix them."""
