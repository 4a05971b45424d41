"""What work there is, what of it is left, in which order, at what cost. Knows neither Ray nor torch's numbers."""
