"""What a job does, in whatever process it runs."""
