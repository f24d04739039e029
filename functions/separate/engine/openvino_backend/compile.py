"""Compile a network's stages for this processor, write the result to files, and read these."""

import io
import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from functions.separate.engine.cores import cores
from functions.separate.engine.process import preserve_locale


def compile_stages(stages: Sequence[openvino.Model]) -> list[Any]:
    """Return an openvino.CompiledModel for each stage, all compiled at the same time.

    The stages say themselves which of their tensors are bf16. Raises RuntimeError.
    """
    core = openvino.Core()

    def compile_one(stage: openvino.Model) -> Any:
        return core.compile_model(stage, "CPU", _settings())

    with preserve_locale(), ThreadPoolExecutor(len(stages)) as pool:
        return list(pool.map(compile_one, stages))


def write_compiled(stage: Any, file: Path) -> None:
    """Write a compiled stage. It can be read by this version of OpenVINO on this processor."""
    compiled: io.BytesIO = stage.export_model()
    file.write_bytes(compiled.getbuffer())


def read_compiled(files: Sequence[Path]) -> list[Any]:
    """Return the compiled stages in these files, all read at the same time. Raises RuntimeError.

    The files are mapped into memory. OpenVINO copies most of the weights into the order that the
    processor needs; what has been read does not stay in memory.
    """
    core = openvino.Core()

    def read_one(file: Path) -> Any:
        with file.open("rb") as opened:  # it wants memory that could be written
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
        memory = openvino.Tensor(np.frombuffer(mapped, np.uint8), shared_memory=True)
        stage = core.import_model(memory, "CPU", _settings())
        stage.memory = memory  # it reads some weights later
        mapped.madvise(mmap.MADV_DONTNEED)  # from the file again if they are needed
        return stage

    with preserve_locale(), ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(read_one, files))


def _settings() -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": "f32",  # otherwise f32 tensors would be computed in bf16
        "INFERENCE_NUM_THREADS": cores(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # another process may be pinned to the same cores
    }
