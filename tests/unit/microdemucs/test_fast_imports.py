import gc

import pytest

from microdemucs.fast_imports import without_garbage_collection


def test_the_collector_is_off_inside_and_on_afterwards() -> None:
    with without_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_is_on_again_if_an_import_fails() -> None:
    with pytest.raises(ImportError), without_garbage_collection():
        raise ImportError
    assert gc.isenabled()


def test_the_collector_never_looks_at_what_was_imported() -> None:
    frozen = gc.get_freeze_count()
    with without_garbage_collection():
        module = [[number] for number in range(1_000)]
    assert gc.get_freeze_count() - frozen >= len(module)
    gc.unfreeze()
