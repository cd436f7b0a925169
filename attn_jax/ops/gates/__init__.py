"""Gates of vision models: how much of each channel or place passes."""
