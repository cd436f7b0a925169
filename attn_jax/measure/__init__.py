"""Numbers about attention: what it looks like, and how far it can be believed."""
