"""Audio files in, features out; and the small tools that every package shares, as this is the ground floor.

Data, in the order in which it flows:

    datasets/      which files of a folder are clips, and their labels: dataset.yaml, the challenge's layouts, `init`
    fetch/         published datasets from their servers, before all this
    layout.py      the result: parts, rows and classes of a dataset, whatever its layout
    csv_table.py   reads one CSV file of clips
    audio.py       checks one audio file, and reads it as mono at a wanted rate
    probes.py      checks many audio files, and remembers the good ones
    folds.py       draws cross-validation folds: shuffled, by group, stratified over labels, or official
    assign_folds.py   the fold of every clip of a dataset: official or drawn, with groups and copies together
    manifest.py    every clip of a dataset with its labels, checksum, group and fold: `build_manifest`
    summary.py     what `check` returns: classes, subsets and notes
    settings.py    settings of data and features
    mel.py         power mel spectrograms, equal to librosa's
    graphs.py      the same as torch modules that other runtimes can execute
    encoders/      frozen encoders: windows of samples in, embeddings out
    shard_plan.py  which clips go into which shard
    shards.py      features on disk, read as memory-mapped arrays
    synthetic.py   the generated audio of the demo
    assumed.py     a manifest of FSDKaggle2019's size, without the audio

Shared tools:

    errors.py      every error that sonogrid raises on purpose, and what an errno means
    plain_yaml.py  YAML restricted to plain values
    files.py       atomic writes, checksums, canonical hashes
    words.py       words for messages: printable, cut, counted, listed, nearest

Nothing here knows `trainers` or `orchestrator`. Checking a dataset and planning shards import no torch.
"""
