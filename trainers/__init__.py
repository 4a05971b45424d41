"""Shards in, snapshots and predictions out: networks, augmentation, the training loop, full-length prediction.

    settings.py          settings of a condition; torch-free, as are the four below it
    network_settings.py  settings of its network
    registry.py          names, parameters and descriptions of augmentations and losses
    history.py           the records of a job's epochs
    supervisor.py        the interface between a job and whoever runs it
    clips.py             crops of clips as device tensors
    streams.py           training batches: which clips, where cropped, how augmented
    batch.py             a batch on its way to the network
    augment.py           the pipeline of augmentations; functions in augment_mel.py, augment_waveform.py
    network.py           trunk and heads; trunks in resnet.py, seresnext.py, envnet.py
    pooled.py            statistics over time, a trunk of its own or beside one
    folded.py            networks without batch norms, for evaluation
    soup.py              the mean of the weights of several networks
    packing.py           weights in fewer bits
    network_graph.py     a network and what prediction does around it, for export as a graph
    losses.py            losses by name
    semi.py              semi-supervised methods by name
    schedule.py          learning rate of a step
    loop.py              the training loop of one job
    sums.py              losses of an epoch, and the check that they are finite
    parallel.py          several workers on one job, with the results of one
    checkpoints.py       checkpoints of a job, and how it continues from them
    weights.py           snapshots and checkpoints as safetensors
    predict.py           full-length prediction
    groups.py            which clips are predicted together, and which part of them
    pseudo.py            pseudo labels from a teacher's predictions
    lwlrap.py            the metric
    speed.py             seconds of a step on this machine, by a few real ones
    flops.py             cost of training and prediction
    counts.py            operations and bytes, counted on the networks; counted.py keeps them in a file
    randomness.py        random draws as a function of (seed, purpose, step)

- Nothing here knows Ray, MLflow or Optuna: a job runs, and can be stepped through, in a plain Python process.
- Every random draw is a function of (seed, purpose, step), so a job has no generator state to save.
- On a CPU a job that was interrupted and continued has the same bits as one that was not.
"""
