"""Gates of vision models: factors between 0 and 1 for channels or positions."""
