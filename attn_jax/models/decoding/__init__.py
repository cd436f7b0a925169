"""Decoding: one step at a time, greedily or with a beam."""
