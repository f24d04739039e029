"""Settings that other packages have for the whole process only, each with its reason.

This module imports none of them, since some of the settings must be made before their import.
"""

import locale
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_locale_lock = threading.Lock()


def use_one_openblas_thread() -> None:
    """Keep numpy's matrix products in the calling thread, unless the environment says otherwise.

    OpenBLAS reads the variable once, when numpy is imported. Its idle threads spin, and would take
    the cores from the network's threads.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def use_small_pages() -> None:
    """Keep numpy from asking for huge pages, unless the environment says otherwise.

    A kernel takes longer to find and clear a huge page than the pages of it that are used at first,
    on a virtual machine above all: the first window takes 0.06 s less, and later ones the same.
    numpy reads the variable once, when it is imported.
    """
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")


def disable_openvino_telemetry() -> None:
    """Stop OpenVINO from reporting each import to Google Analytics.

    OpenVINO does without this package if it cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def disable_hub_telemetry() -> None:
    """Stop huggingface_hub from reporting what else is installed, unless the environment says so.

    It reads the variable once, when it is imported.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def skip_openvino_converter() -> None:
    """Leave the model converter out of OpenVINO's import, which it makes twice as long.

    No model is converted here. OpenVINO does without this package if it cannot be imported.
    """
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]


@contextmanager
def preserve_locale() -> Iterator[None]:
    """Restore the process's locale afterwards; one thread at a time.

    OpenVINO sets the locale to "C" while it reads a model, and then sets the one it found. Two
    reads at once find each other's "C" and leave it.
    """
    with _locale_lock:
        before = locale.setlocale(locale.LC_ALL)
        try:
            yield
        finally:
            locale.setlocale(locale.LC_ALL, before)
