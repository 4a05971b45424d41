"""Shards in, snapshots and predictions out: networks, augmentation, the training loop, full-length prediction.

Nothing here knows Ray, MLflow or Optuna: a job can be run, and stepped through, in a plain Python process.
"""
