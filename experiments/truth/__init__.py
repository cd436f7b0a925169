"""The truth of where to look: does attention find it, and does any other way of asking?

`python -m experiments.truth` trains the experiments that have an `evidence` and measures them;
`python -m experiments.truth table` draws the table of `docs/truth.md` from the results.
"""

from experiments.truth.evidence import Evidence

__all__ = ["Evidence"]
