"""Counters and gauges of a run on Ray, for Prometheus; Ray adds `ray_` before the names.

    sonogrid_jobs{state}                     jobs cached, running, done, failed, blocked, waiting or queued
    sonogrid_queue_jobs                      jobs that could start if there were room for them
    sonogrid_cache_hits_total                jobs that were done before the run began
    sonogrid_finished_total{outcome}         ends of attempts
    sonogrid_retries_total{cause}            attempts that end and are made again, by why
    sonogrid_epochs_total                    training epochs
    sonogrid_samples_per_second{condition}   clips through the networks of the jobs that run now

Only the driver writes them: a worker's process ends before Ray has read its last figures.
"""

from collections.abc import Mapping

from orchestrator.planning.scheduler import Outcome, Standing

__all__ = ["Metrics"]

RETRIED: frozenset[Outcome] = frozenset({"lost", "memory", "preempted", "damaged"})


class Metrics:
    """The figures of one run."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Gauge

        self._jobs = Gauge("sonogrid_jobs", "Jobs of the run.", tag_keys=("state",))
        self._queue = Gauge("sonogrid_queue_jobs", "Jobs that could start if there were room for them.")
        self._cached = Counter("sonogrid_cache_hits_total", "Jobs that were done before the run began.")
        self._finished = Counter("sonogrid_finished_total", "Ends of attempts.", tag_keys=("outcome",))
        self._retries = Counter("sonogrid_retries_total", "Attempts that are made again.", tag_keys=("cause",))
        self._epochs = Counter("sonogrid_epochs_total", "Training epochs.")
        self._speed = Gauge("sonogrid_samples_per_second", "Clips through the networks.", tag_keys=("condition",))
        self._conditions: set[str] = set()
        self._cache_counted = False

    def standing(self, standing: Standing) -> None:
        """How the run stands."""
        queued = sum(standing.ready.values())
        for state in ("cached", "running", "done", "failed", "blocked", "waiting"):
            self._jobs.set(getattr(standing, state), {"state": state})
        self._jobs.set(queued, {"state": "queued"})
        self._queue.set(queued)
        if standing.cached and not self._cache_counted:
            self._cached.inc(standing.cached)
        self._cache_counted = True

    def finished(self, outcome: Outcome) -> None:
        """An attempt has ended."""
        self._finished.inc(1, {"outcome": outcome})
        if outcome in RETRIED:
            self._retries.inc(1, {"cause": outcome})

    def epochs(self, count: int) -> None:
        """Count finished epochs."""
        self._epochs.inc(count)

    def speeds(self, by_condition: Mapping[str, float]) -> None:
        """Clips per second of the running jobs, by condition; conditions left out have none."""
        self._conditions |= by_condition.keys()
        for name in self._conditions:
            self._speed.set(by_condition.get(name, 0.0), {"condition": name})
