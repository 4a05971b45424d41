"""Frozen encoders: windows of samples in, embeddings out (docs/encoders.md).

encoder.py     opens a file and runs it over the windows of a clip
onnx_file.py, pt2_file.py   the two file formats
export.py      writes such a file from a module of torch
aisfx.py, aisfx_wheel.py    the encoder aiSFX, made from its wheel on PyPI
"""
