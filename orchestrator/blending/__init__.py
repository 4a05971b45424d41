"""Ensemble weights, tuned on out-of-fold predictions. The only room with Optuna."""
