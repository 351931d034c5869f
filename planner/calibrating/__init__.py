"""A profile from measured runs, and how far a prediction was off."""
