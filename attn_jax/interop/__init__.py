"""Names and bridges for libraries other than Linen; each library is imported only when used."""

from attn_jax.interop.named import named

__all__ = ["named"]
