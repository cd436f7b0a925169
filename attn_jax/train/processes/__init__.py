"""Several processes of one run: how they meet, agree, and learn that another has ended."""
