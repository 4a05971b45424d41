"""Jobs on a Ray cluster. The only room with Ray."""
