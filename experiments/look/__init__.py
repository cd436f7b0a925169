"""One command from a checkpoint to a page that shows its attention: `python -m experiments look`.

Each kind of input has a file that returns a `Look` (for texts, `text.py`); the page is written from
that alone.
"""
