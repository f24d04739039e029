"""Compile a network's stages for this processor, or read them from the cache of compiled ones."""

import ctypes
import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import openvino

from functions.separate.engine.process import preserve_locale


def compile_stages(
    files: Sequence[Path], precision: str, cache: Path | None, threads: int
) -> list[Any]:
    """Return an openvino.CompiledModel for each file, all read at the same time.

    The folder `cache` keeps the compiled stages. Raises RuntimeError.
    """
    core = openvino.Core()
    if cache:
        core.set_property({"CACHE_DIR": str(cache)})
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # another process may be pinned to the same cores
    }

    def compile_file(file: Path) -> Any:
        model: Any = str(file) if precision == "bf16" else _widen_ports(core.read_model(file))
        return core.compile_model(model, "CPU", settings)

    with preserve_locale(), ThreadPoolExecutor(len(files)) as pool:
        compiled = list(pool.map(compile_file, files))
    _release_mapped_files([*(file.parent for file in files), *([cache] if cache else [])])
    return compiled


def _widen_ports(model: Any) -> Any:
    """Make the inputs and outputs f32 through which stages pass bf16 to each other."""
    for parameter in model.get_parameters():
        if parameter.get_element_type() == openvino.Type.bf16:
            parameter.set_element_type(openvino.Type.f32)
    for result in model.get_results():
        conversion = result.input_value(0).get_node()
        if conversion.get_element_type() == openvino.Type.bf16:
            result.input(0).replace_source_output(conversion.input_value(0))
    model.validate_nodes_and_infer_types()
    return model


def _release_mapped_files(folders: Sequence[Path]) -> None:
    """Release the memory of files in these folders that are mapped into this process.

    OpenVINO maps a compiled network, copies the weights into the order that the processor needs,
    and keeps the mapping. The kernel reads a page from its file again if it is needed after all.
    With the bundled model, the process then takes 133 MB instead of 140.
    """
    prefixes = tuple(f"{folder.resolve()}/" for folder in folders)
    libc = ctypes.CDLL(None)
    with suppress(OSError):  # no /proc: not Linux
        for line in Path("/proc/self/maps").read_text().splitlines():
            extent, mode, *_, path = line.split(maxsplit=5)
            if path.startswith(prefixes) and mode.startswith("r--"):
                begin, end = (int(address, 16) for address in extent.split("-"))
                size = ctypes.c_size_t(end - begin)
                libc.madvise(ctypes.c_void_p(begin), size, mmap.MADV_DONTNEED)
