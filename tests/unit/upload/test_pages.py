from collections.abc import Callable

import flask
import pytest

from functions.upload import pages
from microdemucs.problems import Problem

HOST = "127.0.0.1:8080"
OWN = f"http://{HOST}"


def is_refused(check: Callable[[], None], method: str, **headers: str) -> bool:
    """Whether `check` refuses a request with this method and these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with flask.Flask("test").test_request_context(method=method, headers={"Host": HOST} | named):
        try:
            check()
        except Problem as problem:
            return (problem.status, problem.kind) == (403, "cross-site")
    return False


@pytest.mark.parametrize(
    ("site", "refused"),
    [("cross-site", True), ("same-site", False), ("same-origin", False), ("none", False)],
)
def test_a_page_of_another_site_is_refused(site: str, refused: bool) -> None:
    assert is_refused(pages.ensure_not_cross_site, "GET", Sec_Fetch_Site=site) is refused


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
    ids=lambda headers: str(headers),
)
def test_a_page_of_another_origin_changes_nothing(method: str, headers: dict[str, str]) -> None:
    assert is_refused(pages.ensure_no_other_page, method, **headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": OWN},
        {"Sec_Fetch_Site": "same-origin", "Origin": OWN},
        {"Sec_Fetch_Site": "none"},
    ],
    ids=lambda headers: str(headers),
)
def test_the_own_page_and_programs_may_change_something(headers: dict[str, str]) -> None:
    assert not is_refused(pages.ensure_no_other_page, "POST", **headers)


def test_a_page_of_another_origin_may_read() -> None:
    assert not is_refused(pages.ensure_no_other_page, "GET", Sec_Fetch_Site="same-site")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-origin"},
        {"Origin": OWN},
        {"Referer": f"{OWN}/"},
        {"Referer": f"{OWN.upper()}/page?x"},
    ],
    ids=lambda headers: str(headers),
)
def test_a_request_of_the_own_page_is_proven(headers: dict[str, str]) -> None:
    assert not is_refused(pages.ensure_own_page, "GET", **headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"User_Agent": "curl/8"},
        {"Sec_Fetch_Site": "same-site", "Referer": f"{OWN}/"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Referer": "http://127.0.0.1:9000/"},
        {"Referer": f"http://evil.example/{HOST}"},
        {"Referer": f"http://{HOST}@evil.example/"},
        {"Referer": HOST},
        {"Referer": ""},
        {"Referer": "http://["},
    ],
    ids=lambda headers: str(headers),
)
def test_any_other_request_may_come_from_another_page(headers: dict[str, str]) -> None:
    assert is_refused(pages.ensure_own_page, "GET", **headers)
