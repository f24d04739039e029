import errno

import pytest

from functions.separate.resources import retry_when_out_of_resources
from microdemucs.problems import RetryLater


@pytest.mark.parametrize(
    ("error", "kind"),
    [(MemoryError(), "no-memory"), (OSError(errno.ENOSPC, "full"), "no-disk")],
    ids=["memory", "disk"],
)
def test_a_resource_that_runs_out_is_a_temporary_error(error: Exception, kind: str) -> None:
    with pytest.raises(RetryLater) as raised, retry_when_out_of_resources():
        raise error
    assert (raised.value.kind, raised.value.after) == (kind, 30)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ValueError("wrong")])
def test_another_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, retry_when_out_of_resources():
        raise error
    assert raised.value is error
