"""The door to all executors: it opens the one that the settings name."""

from typing import Any

from sfal.collect.executors.inline import Inline
from sfal.collect.executors.placement import Placement, devices_in
from sfal.collect.executors.protocol import Executor, Spec


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
        return Pool(Processes(spec, devices, threads_of_each(device, len(devices))))
    return Inline(spec.load(device))
