"""Published datasets from their servers: archives in, an unpacked folder that `init` and `check` read out.

    fetch.py      a dataset into a folder: what is there already, what is missing, in which order: `fetch`
    sources.py    the datasets that can be fetched: their servers, archives and published checksums
    download.py   one file: continued where an earlier call stopped, retried, checked: `download`
    unpack.py     one archive into a new folder, nothing outside it: `unpack`
    split_zip.py  an archive in several files, seen as one

What is under way lies in `.fetch` of the dataset's folder. A file has its name once it is checked, and a folder its
name once it is complete, so these names are all that has to be remembered.
"""
