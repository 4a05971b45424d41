"""Datasets in whatever layout they come: what is there, and how `dataset.yaml` describes it.

Reading, for `check`, `plan` and `launch`:

    find.py         the layout of a folder: `find_layout`
    challenge.py    the challenge's CSV files and folders, in Kaggle's or Zenodo's form
    described.py    the clips that a dataset.yaml describes
    description.py  the form of dataset.yaml: `Dataset`, `Source`

Writing, for `init`:

    init.py         looks at a folder and writes its dataset.yaml: `init`
    known.py        published datasets, recognised by their files
    guess.py        other folders: lists whose columns name files, a folder per class
    columns.py      what the columns of a list hold: files, labels, groups, folds
    tree.py         the audio files below a folder

The layouts of `features.layout` are the result. Only `init` opens audio files, and reads no more than their headers.
"""
