"""Jobs of submitit on this machine, and work for them, which is quick to import."""

import os
import signal

import psutil

from tutelage.errors import UserError
from tutelage.execution.listener import Quiet
from tutelage.execution.slurm_engine import SlurmWorkers, exchange


def answer(number, kept, listener):
    listener.progress("thinking", 0.5)
    return number * 2


def wrong(kept, listener):
    raise UserError("nothing fits")


def die(kept, listener):
    os.kill(os.getpid(), signal.SIGKILL)


class Disturbing(Quiet):
    """Passes on what a run says; after its second epoch, once, sends a signal to the process that trains it."""

    def __init__(self, listener, mark, how):
        self.listener, self.mark, self.how = listener, mark, how

    def epoch(self, spec, row, epochs):
        self.listener.epoch(spec, row, epochs)
        if row["epoch"] == 1 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), self.how)


def disturbed(context, spec, kept, listener):
    """Train a run whose job is told that its time is over, if it is of the stage gaf, or is killed."""
    from tutelage.execution.claim import run_outcome

    how = signal.SIGUSR2 if spec.stage == "gaf" else signal.SIGKILL
    mark = context.folder / f"disturbed-{spec.stage}"
    return run_outcome(context, spec, kept, Disturbing(listener, mark, how))


def alive():
    """Return what squeue would say: the local executor names a job by the number of its process."""
    children = psutil.Process().children()
    return {
        str(child.pid): "RUNNING" for child in children if child.status() != psutil.STATUS_ZOMBIE
    }


def local_workers(config, missing, listener=None):
    import submitit

    executor = submitit.LocalExecutor(exchange(config.cache), max_num_timeout=10**6)
    executor.update_parameters(timeout_min=60)
    return SlurmWorkers(executor, alive, config, 1, missing, listener or Quiet(), look=0.1)
