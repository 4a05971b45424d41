"""The tagger: the blend of a finished run as one object that tags new audio files.

    tagger.py    `Tagger`: loads the networks of a run once, keeps them in memory, and scores files

The scores are those that the run's own `predict` jobs would have computed for the same clips: every member with a
weight, averaged over the folds.
"""
