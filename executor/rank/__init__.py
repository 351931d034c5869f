"""What one rank holds and does for the actions of its plan."""
