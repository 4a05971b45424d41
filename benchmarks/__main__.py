"""All benchmarks, one after the other: `make bench`. Run on a quiet machine; compare ratios, not seconds."""

from benchmarks import features_bench, lwlrap_bench, resume_bench, scale_bench, startup_bench


def main() -> None:
    benchmarks = {
        "lwlrap": lwlrap_bench, "features": features_bench, "scale": scale_bench, "start-up": startup_bench,
        "resume": resume_bench,
    }  # fmt: skip
    for name, benchmark in benchmarks.items():
        print(f"== {name}", flush=True)
        benchmark.main()


if __name__ == "__main__":
    main()
