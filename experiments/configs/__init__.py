"""The experiments: one model on one task in each file."""
