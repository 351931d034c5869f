"""Published measurements and what the planner says of the same systems, a module a source."""
