"""Plans, runs, remembers and reports a grid of experiments; the only package that imports Ray, MLflow and Optuna."""
