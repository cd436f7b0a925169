"""Pairs from the user's own file: lines of UTF-8 with the two sentences in columns between tabs.

Without a header the pair is in the first two columns, and further columns are ignored (Anki and
Tatoeba put the attribution there). A first line that names the columns `source` and `target` may
have them anywhere; a header of two languages, as `English<TAB>French`, is understood too, with a
warning. A column named `alignment` links tokens, which blanks must separate, as `0-0 1-2 1?3`,
counted from 0, source first; `-` is a sure link and `?` a possible one.

Cells may be quoted as spreadsheets do it. Quotation marks that belong to the text stay.
"""

from attn_jax.tasks.translation.tsv.read import read_tsv

__all__ = ["read_tsv"]
