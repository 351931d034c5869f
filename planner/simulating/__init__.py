"""Playing plans: the parts of the event-by-event simulation, and many runs of a plan at once."""
