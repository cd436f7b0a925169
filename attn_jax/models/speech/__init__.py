"""Recognizers of speech: an encoder of spectrograms, by itself or with a decoder that attends."""
