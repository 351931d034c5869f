"""What `planner.compare` is made of: differing inputs, the split from one run to another, work and longest paths."""
