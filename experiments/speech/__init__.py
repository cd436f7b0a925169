"""Speech experiments: recognizers with and without attention, and when they hear each word."""
