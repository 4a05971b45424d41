"""A grid file in, a complete Recipe out: what is to be computed."""
