"""Audio files in, shards out: dataset layouts, manifest, folds, mel and waveform features."""
