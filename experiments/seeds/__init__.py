"""Runs of one recipe by seed, and results stamped with the commit, for tables over seeds."""
