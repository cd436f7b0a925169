"""What a run leaves on disk: its folder, checkpoints, manifests and metrics."""
