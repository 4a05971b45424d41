from orchestrator.jobs.execution import JobExecution, device_of, resident_bytes


def test_without_a_gpu_a_job_is_on_the_cpu_and_copies_no_features() -> None:
    execution = JobExecution(gpus=0.0, resident_bytes=10)
    assert device_of(execution).type == "cpu"
    assert resident_bytes(execution) == 0
