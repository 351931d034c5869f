"""What `planner.replay` and `planner.compare` are made of: a run in a replay's terms, and changes to it."""
