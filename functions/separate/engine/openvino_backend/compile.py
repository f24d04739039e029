"""A network's parts on OpenVINO, compiled side by side or read from what was compiled before."""

import ctypes
import locale
import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import openvino


def compiled(parts: Sequence[Path], precision: str, cache: Path | None, threads: int) -> list[Any]:
    """The parts of a network, each an openvino.CompiledModel. `cache` keeps them.

    Raises RuntimeError.
    """
    core = openvino.Core()
    if cache:
        core.set_property({"CACHE_DIR": str(cache)})
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # others may be here
    }

    def one(file: Path) -> Any:
        model: Any = str(file) if precision == "bf16" else _widened(core.read_model(file))
        return core.compile_model(model, "CPU", settings)

    # OpenVINO sets the process's locale while it reads: two at once would leave it as "C".
    kept = locale.setlocale(locale.LC_ALL)
    try:
        with ThreadPoolExecutor(len(parts)) as side_by_side:
            found = list(side_by_side.map(one, parts))
    finally:
        locale.setlocale(locale.LC_ALL, kept)
    _give_back([*(file.parent for file in parts), *([cache] if cache else [])])
    return found


def _widened(model: Any) -> Any:
    """The model with f32 where it would take bf16 from another part, or give bf16 to one."""
    for parameter in model.get_parameters():
        if parameter.get_element_type() == openvino.Type.bf16:
            parameter.set_element_type(openvino.Type.f32)
    for result in model.get_results():
        given = result.input_value(0).get_node()
        if given.get_element_type() == openvino.Type.bf16:  # converted for that alone
            result.input(0).replace_source_output(given.input_value(0))
    model.validate_nodes_and_infer_types()
    return model


def _give_back(folders: Sequence[Path]) -> None:
    """Have the files in these folders that are mapped into memory count for nothing there.

    OpenVINO maps weights, copies them into the order that the processor wants, and keeps the map.
    What is read again comes from the file again.
    """
    within = tuple(f"{folder.resolve()}/" for folder in folders)
    libc = ctypes.CDLL(None)
    with suppress(OSError):  # no /proc: not Linux
        for line in Path("/proc/self/maps").read_text().splitlines():
            extent, mode, *_, path = line.split(maxsplit=5)
            if path.startswith(within) and mode.startswith("r--"):
                begin, end = (int(place, 16) for place in extent.split("-"))
                size = ctypes.c_size_t(end - begin)
                libc.madvise(ctypes.c_void_p(begin), size, mmap.MADV_DONTNEED)
