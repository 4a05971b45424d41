"""Pieces of work and where their results lie: a folder, S3 or Google Cloud Storage. The only room with boto3."""
