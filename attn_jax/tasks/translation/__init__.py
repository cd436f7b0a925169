"""Pairs of sentences to translate, with the links between their tokens where they are known."""
