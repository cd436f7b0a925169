"""Benchmarks: ratios to peers, measured in the same minutes on the same machine."""
