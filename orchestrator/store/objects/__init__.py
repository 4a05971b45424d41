"""Bytes by key: one interface for a local folder, S3 and Google Cloud Storage.

    base.py    `ObjectStore`: the interface and its guarantees
    local.py   a folder; the reference that the tests of the interface run against, beside both services
    s3.py      S3 and services that speak its protocol
    gcs.py     Google Cloud Storage
    open.py    the object store that a URL names

A reader sees an object as it was before a write or as it is after, never half of it. Of several that `create` the same
key, one succeeds. Failures end in one sentence with the URL, without credentials.
"""
