import pytest
from gunicorn.http import errors

from microdemucs.server_worker import is_complete, is_probe, problem_of


@pytest.mark.parametrize(
    "head", [b"", b"GET", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nA: b\r\n"]
)
def test_headers_without_an_empty_line_are_incomplete(head: bytes) -> None:
    assert not is_complete(head)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nA: b\r\n\r\n", b"GET / HTTP/1.1\r\n\r\nbody"])
def test_an_empty_line_ends_the_headers(head: bytes) -> None:
    assert is_complete(head)


def test_a_bare_line_feed_is_for_the_parser_to_refuse() -> None:
    assert is_complete(b"GET / HTTP/1.1\n")


@pytest.mark.parametrize("line", [b"GET /healthz HTTP/1.1", b"HEAD /readyz HTTP/1.1"])
def test_probes_are_recognised(line: bytes) -> None:
    assert is_probe(line + b"\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"POST /healthz HTTP/1.1",
        b"GET /healthzz HTTP/1.1",
        b"GET / HTTP/1.1",
        b"GET /x/readyz H",
        b"",
    ],
)
def test_other_requests_are_no_probes(line: bytes) -> None:
    assert not is_probe(line + b"\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.LimitRequestLine(9000, 4094), 414),
        (errors.LimitRequestHeaders("too many"), 431),
        (errors.UnsupportedTransferCoding("gzip"), 501),
        (errors.ExpectationFailed("tea"), 417),
        (errors.InvalidRequestLine("?"), 400),
        (errors.InvalidHeader("?"), 400),
    ],
)
def test_a_request_that_cannot_be_parsed_is_a_problem(error: Exception, status: int) -> None:
    problem = problem_of(error)
    assert problem
    assert (problem.status, problem.kind, problem.detail) == (status, "http", "")


@pytest.mark.parametrize(
    "error", [errors.InvalidResponseHeader("X"), ZeroDivisionError()], ids=["header", "bug"]
)
def test_our_own_errors_are_not_the_clients(error: Exception) -> None:
    assert problem_of(error) is None
