"""Streaming attention of a sequence that is divided over the devices of a mesh axis."""
