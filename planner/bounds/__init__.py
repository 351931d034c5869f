"""Lower bounds on a makespan, from the problem alone."""
