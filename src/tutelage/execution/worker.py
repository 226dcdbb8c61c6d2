"""What runs in a worker process. Nothing heavy is imported before it watches over its parent."""

import os
import pickle
import signal
import threading
import time
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["BEAT", "portable", "serve"]

BEAT = 5.0  # seconds between two signs of life


def serve(pipe: Connection, threads: int, home: Path | None, cache: Path) -> None:
    """Do one piece of work after the other, until the pipe ends or the parent dies.

    Args:
        pipe: brings work, and takes home results, words for the listener and signs of life.
        threads: for tensors.
        home: root of data sets; None for the user's default.
        cache: root of representations.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it stops us
    threading.Thread(target=_die_with_parent, daemon=True).start()
    sending = threading.Lock()

    def send(message: Any) -> None:
        try:
            with sending:
                pipe.send(message)
        except OSError:  # the command was killed: nothing may be recorded, least of all a failure
            os._exit(1)

    threading.Thread(target=_beat, args=(send,), daemon=True).start()

    from tutelage.execution.data_cache import DataCache
    from tutelage.execution.listener import Remote
    from tutelage.execution.memory import give_back
    from tutelage.execution.threads import fixed_threads

    listener = Remote(send)
    kept = DataCache(home, cache, listener.progress)
    with fixed_threads(threads):
        while True:
            try:
                work, arguments = pipe.recv()
            except (EOFError, OSError):
                return
            try:
                send(("result", work(*arguments, kept, listener)))
            except Exception as error:
                send(("error", portable(error)))
            give_back()


def portable(error: Exception) -> Exception:
    """Return an error as it can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _beat(send: Any) -> None:
    while True:
        send(("beat", ()))
        time.sleep(BEAT)


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None, "this is a worker process"
    parent.join()
    os._exit(1)  # the command was killed; a new one may be waiting for this run's lock
