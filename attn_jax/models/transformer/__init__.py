"""The Transformer that translates: its layers, and the whole."""
