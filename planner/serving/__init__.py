"""Rooms of `planner.capacity`: what a group of devices gives, who comes, and what happens when they meet."""
