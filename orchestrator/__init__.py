"""Plans, runs, remembers and reports grids of experiments; the only package that imports Ray, MLflow and Optuna.

Rooms, each of which imports only those below it:

    cli                    the command line
    api                    the public functions, which `sonogrid` re-exports and the command line calls
    launch, tune           launch: one process runs a RUN to completion; tune: searches the blend again
    executors/             where jobs run: this process, or a Ray cluster
    tracking/              MLflow as a view of the store
    tagger/                the blend of a finished run, which tags new files
    views/                 what people see of a run, made from the store only
    run/                   a RUN folder: a grid bound to a dataset and a store
    planning/, jobs/       what work there is, in which order and at what cost; what each kind of job does
    blending/              ensemble weights, tuned on out-of-fold predictions
    grids/, store/         a grid file as a Recipe; results and where they lie
    redact, without_gc, interrupts
                           passwords hidden; the garbage collector and large graphs; Ctrl-C and SIGTERM
    services               PostgreSQL and an S3 endpoint on localhost, for tests and trial clusters
"""
