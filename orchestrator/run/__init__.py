"""A RUN folder: a grid bound to a dataset and a store, who owns it, how it is to be run."""
