"""MLflow as a view of the store. The only room with MLflow."""
