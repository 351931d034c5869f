"""The processes of a run: how they start, find one another, are watched, and stop together."""
