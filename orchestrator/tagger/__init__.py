"""The tagger: the blend of a finished run as one object that tags new audio files.

    tagger.py       `Tagger`: loads the networks of a run once, keeps them in memory, and scores sounds and recordings
    members.py      which networks of a run, with which weights
    batches.py      scores of many clips on all cores
    package.py      a tagger in one file, `.tagger`
    calibration.py  what scores mean: probabilities and thresholds, from out-of-fold scores
    sounds.py       files, bytes of files and samples as mono
    ffmpeg.py       files that libsndfile does not read
    files.py        the files that a command line names: folders, patterns, a list on standard input
    tables.py       scores as CSV, JSON, JSON Lines or Parquet; labels for Audacity
    registered.py   taggers in MLflow's registry
    served.py       a `.tagger` file as MLflow loads it

The scores are those that the run's own `predict` jobs would have computed for the same clips: every member with a
weight, averaged over the folds.
"""
