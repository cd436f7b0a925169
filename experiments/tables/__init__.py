"""The tables of `docs/experiments.md` over three seeds: MNIST and translation.

`python -m experiments.tables` trains what has no result yet; `python -m experiments.tables draw`
draws the tables from the results.
"""
