"""The Transformer for translation: its layers, and the model of them."""
