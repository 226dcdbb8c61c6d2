"""The parts of W&B and Trackio that we call, in memory, for where they are not installed."""

import types
from pathlib import Path


class WandbDouble(types.ModuleType):
    """``wandb.init`` in offline mode: a folder per run, steps that only grow."""

    def __init__(self):
        super().__init__("wandb")
        self.runs = []

    @staticmethod
    def Settings(**settings):  # noqa: N802
        return settings

    def init(self, *, project, id, name, mode, dir, config, group, job_type, settings, reinit):
        assert mode == "offline" and len(id) <= 64 and reinit == "create_new"
        folder = Path(dir) / "wandb" / f"offline-run-20261201_120000-{id}"
        (folder / "files").mkdir(parents=True)
        run = OfflineRun(str(folder / "files"), project, id, config)
        self.runs.append(run)
        return run


class OfflineRun:
    def __init__(self, dir, project, id, config):
        self.dir, self.project, self.id, self.config = dir, project, id, config
        self.summary, self.rows, self.finished = {}, [], False

    def log(self, data, step):
        assert not self.finished and (not self.rows or step > self.rows[-1][0])
        self.rows.append((step, data))

    def save(self, path, base_path, policy):
        (Path(self.dir) / Path(path).relative_to(base_path)).symlink_to(path)

    def finish(self):
        self.finished = True


class TrackioDouble(types.ModuleType):
    """Projects of named runs; a run is there once something of it was logged and finished."""

    def __init__(self):
        super().__init__("trackio")
        self.projects = {}

    def init(self, project, name, group, config, embed, auto_log_gpu, auto_log_cpu):
        self.current = LocalRun(self.projects.setdefault(project, []), name, config)
        return self.current

    def finish(self):
        self.current.project.append(self.current)

    def Api(self):  # noqa: N802
        return self

    def runs(self, project):
        if project not in self.projects:
            raise ValueError(f"Project '{project}' does not exist")
        return list(self.projects[project])


class LocalRun:
    def __init__(self, project, name, config):
        self.project, self.name, self.config, self.rows = project, name, config, []

    def log(self, metrics, step):
        self.rows.append((step, metrics))

    def rename(self, name):
        assert name not in {run.name for run in self.project}
        self.name = name

    def delete(self):
        self.project.remove(self)
        return True
