import pytest

from functions.upload.webhook_urls import check_url, is_private_host
from microdemucs.problems import Problem

PRIVATE = [
    "http://localhost:9000/",
    "http://LOCALHOST./",
    "http://store.internal/",
    "http://printer.local/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://10.1.2.3/",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fd00::1]/",
    "http://0.0.0.0/",
]


def problem_of(url: object, member: str = "url") -> Problem:
    with pytest.raises(Problem) as raised:
        check_url(url, member, allow_private=False)
    return raised.value


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_rejected(url: str) -> None:
    problem = problem_of(url)
    assert (problem.status, problem.kind) == (422, "private-address")
    assert problem.title == "This webhook URL is not allowed"


def test_a_private_address_is_named_with_what_is_accepted() -> None:
    assert problem_of("http://10.1.2.3/x?token=abc", "callback.url").detail == (
        "10.1.2.3 is a private address; callback.url must name a host on the public internet, "
        "or the operator must set WEBHOOK_ALLOW_PRIVATE"
    )


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_accepted_if_allowed(url: str) -> None:
    assert check_url(url, "url", allow_private=True) == url


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "http://[2606:4700::1111]/", "https://a.example/?x=1#y"]
)
def test_a_public_address_is_accepted(url: str) -> None:
    assert check_url(url, "url", allow_private=False) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        5,
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https://me:hunter2@example.com",
        "https://example.com/\n",
        "https://example.com/" + "x" * 2048,
        "http://[::1",
    ],
)
def test_anything_but_an_http_url_is_a_bad_value(url: object) -> None:
    problem = problem_of(url)
    assert (problem.status, problem.kind, problem.extensions["member"]) == (422, "bad-value", "url")
    assert "http:// or https:// URL" in problem.detail


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@example.com", "ftp://example.com/?key=hunter2"]
)
def test_a_rejected_url_is_not_shown(url: str) -> None:
    assert "hunter2" not in problem_of(url).detail


@pytest.mark.parametrize("host", ["mylocalhost", "local.example", "example.com"])
def test_a_name_that_only_resembles_a_private_one_is_public(host: str) -> None:
    assert not is_private_host(host)
