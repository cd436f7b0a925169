"""One command from a checkpoint to a page that shows its attention: `attn-jax look`.

Each kind of input has a file that returns a `Look` (for texts, `text.py`), and `kinds.py` chooses
between them; the page is written from the `Look` alone.
"""

EXAMPLE = "The cat sat on the mat because it was tired."
"""What a model of texts reads if it is given none."""
