"""What people get to see of a run, made from the store alone."""
