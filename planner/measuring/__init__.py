"""What `planner.measures` is made of: times of blocks, a player, loads of devices and links."""
