"""Jobs on a Ray cluster. The only room that imports ray and grpc.

    executor.py     one Ray task per shard, prediction, pseudo label and blend; one Ray Train job per training
    train.py        a Ray Train job that starts quickly
    cluster.py      machines of the cluster, and what its autoscaler is asked for
    connect.py      connecting to a cluster, or one sentence that says why it can't be reached
    versions.py     whether the machines have the driver's versions of Python, Ray, torch and sonogrid
    submit.py       `--submit`: the same command on the head of a cluster
    prometheus.py   counters and gauges of a run

Ray places no job by itself: `executors.ledger` chooses the machines, and every job is bound to them. Ray retries
nothing: the scheduler counts attempts. Modules import ray inside functions, since it takes seconds.
"""
