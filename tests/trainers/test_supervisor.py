from trainers.supervisor import Supervisor


def test_a_job_without_a_supervisor_of_its_own_runs_to_its_end() -> None:
    supervisor = Supervisor()
    supervisor.progress(epoch=1, step=2)
    supervisor.before_write()
    supervisor.after_write()
    assert supervisor.stop() == "no"
