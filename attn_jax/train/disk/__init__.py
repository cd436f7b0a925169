"""The files of a run: its folder and lock, checkpoints, manifests and metrics."""
