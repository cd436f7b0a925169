"""Tasks on canvases: several digits on one image, with the place of each known."""
