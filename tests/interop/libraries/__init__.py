"""Models of other libraries, with random weights, and what their own ways say of their attention.

A model of a library is a function `case()` that builds a :class:`Case`; a library is a file here.
"""
