"""Score functions, each with its single-head attention."""
