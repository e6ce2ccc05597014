"""Functions that run in processes of their own, to be killed there.

A server that has imported what they need is forked for each: a process that imports the engine
anew takes seconds of the processor, more than all that happens in it.
"""

from collections.abc import Callable
from multiprocessing import get_context
from typing import Any, Final

PATIENCE_S: Final = 120.0
IMPORTED: Final = ["node.pipeline.due", "node.pipeline.engine", "node.store.catalog", "pytest"]


def life(run: Callable[..., None], *arguments: Any) -> int:
    """Run a function of a module in a process of its own; return the exit code.

    Parameters
    ----------
    run : callable
        Is found there by its name; begins with nothing that this process has made.
    arguments
        For it; they are pickled.

    Returns
    -------
    int
        0 where it returned; ``-signal.SIGKILL`` where it was killed.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=run, args=arguments)
    process.start()
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{run.__name__}{arguments} did not end within {PATIENCE_S:.0f} s")
    code = process.exitcode
    process.close()
    return code
