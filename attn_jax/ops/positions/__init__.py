"""Positions: biases of the scores, and rotations of queries and keys."""
