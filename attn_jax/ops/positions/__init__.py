"""Positions, as biases of the scores or rotations of queries and keys."""
