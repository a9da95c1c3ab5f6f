"""The door to all executors: it opens the one that the settings name."""

import os
from typing import Any

from sfal.collect.executors.inline import Inline
from sfal.collect.executors.placement import Placement, devices_in
from sfal.collect.executors.protocol import Executor, Spec
from sfal.errors import Note


def open_executor(spec: Spec, placement: Placement, device: str) -> Executor[Any]:
    """Load a session in this process, or in workers.

    Parameters
    ----------
    spec : Spec
        What a session loads.
    placement : Placement
        Which devices.
    device : str
        The device, or its kind if there are several, as :meth:`Placement.placed` returns it.

    Raises
    ------
    SfalError
        If nothing can be loaded, or no worker started.
    """
    if placement.ray is not None:
        from sfal.collect.executors.pool import Pool
        from sfal.collect.executors.ray_cluster import RayActors

        return Pool(RayActors(spec, placement.ray, device, placement.ray_wait))
    if placement.devices is not None:
        from sfal.collect.executors.pool import Pool
        from sfal.collect.executors.processes import Processes, threads_of_each

        devices = devices_in(placement.devices)
        threads = threads_of_each(device, len(devices))
        pool = Pool(Processes(spec, devices, threads))
        cores = os.cpu_count() or 1
        if device == "cpu" and threads * len(devices) > cores:
            pool.notes.append(
                Note(
                    f"{len(devices)} processes of {threads} threads share {cores} cores, since sums "
                    "depend on the number of threads and are to be those of one process",
                    "OMP_NUM_THREADS in the environment sets the threads of each",
                )
            )
        return pool
    return Inline(spec.load(device))
