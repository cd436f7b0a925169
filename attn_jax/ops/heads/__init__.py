"""Multi-head attention and its variants."""
