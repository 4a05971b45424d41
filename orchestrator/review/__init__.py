"""Which labels of a dataset are likely wrong or missing: a page to listen to, and a CSV to edit.

    sources.py  predictions by networks that have not seen the labels in question
    ranking.py  cleanlab's ranking of clips; the only file that imports it
    write.py    the page and the CSV

Invariants: no label is judged by a network that learned from it. Nothing changes the dataset: an edited CSV is given to
`launch --relabel`. The CSV's column `labels` holds the labels as they are, so that an unedited one changes nothing.
"""
