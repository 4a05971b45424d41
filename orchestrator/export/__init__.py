"""A tagger as one file that other programs run: ONNX, torch.export's `.pt2`, or sonogrid's own `.tagger`.

    export.py     `export_tagger`: chooses the networks, writes the file, and holds it against the run
    graph.py      a tagger as one torch module, samples in, scores out
    onnx_file.py  the module as ONNX
    check.py      clips of the dataset through the file and through the run

What a graph computes is what `Tagger.scores` computes for clips at the graph's sample rate.
"""
