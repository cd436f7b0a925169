"""Detection of attention in jaxprs: a graph of values, the patterns in it, and taps for them."""
