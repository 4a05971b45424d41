"""A run as files that are read without sonogrid: HTML, Markdown, CSV.

    write.py      writes the report in each form
    document.py   the content of a page: sections of words, tables and pictures, in no form yet
    html.py       a document as one HTML file that needs nothing else
    markdown.py   a document as Markdown
    parts.py      a document as one file for each picture, table and sound
    overview.py   what MLflow shows of a condition and of the blend
    tidy.py       the figures of a report as CSV, one per row
    pictures.py   pictures in one style, as SVG or PNG; the only file that imports matplotlib
    sounds.py     a sound as MP3 and as a picture
    summary.py    section: the question, the data and the result in words
    results.py    sections: scores against the paper, the gain of each step, the blend
    learning.py   section: learning curves
    details.py    sections: classes, confusions, clips
    augmentations.py   section: what augmentations do to a clip
    course.py     section: cost, and who ran where and when
    setup.py      sections: what differs between conditions, how to repeat it, what was set aside

Invariants: a page needs no network and runs no script. Names of classes, clips and conditions come from other people's
files and are escaped. No picture is without its numbers in a table of the same section. Leaky scores are marked.
"""

PAGE = "report.html"
"""The report that each launch writes into its RUN."""
