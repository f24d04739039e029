import gzip
import re
from collections.abc import Callable

import pytest

from functions.upload.assets import current_assets
from testing.web_client import WebClient


def test_the_page_has_this_deployments_limit_and_song_types(
    serve: Callable[..., WebClient],
) -> None:
    page = serve(MAX_SONG_BYTES="123456789").get("/").text
    assert 'data-max-song-bytes="123456789"' in page
    assert ".flac" in page


def test_the_page_may_load_from_itself_and_the_store_only(
    serve: Callable[..., WebClient],
) -> None:
    headers = serve(STORE_PUBLIC_URL="https://store.example").get("/").headers
    policy = headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy
    assert "connect-src 'self' https://store.example" in policy
    assert "media-src 'self' https://store.example" in policy


def test_scripts_and_styles_of_the_page_are_served(client: WebClient) -> None:
    for file, content_type in (("page.js", "text/javascript"), ("page.css", "text/css")):
        with client.get(f"/assets/{file}") as response:
            assert (response.status_code, response.mimetype) == (200, content_type)


def named_by(page: str) -> list[str]:
    """The addresses of all files that a page names."""
    return re.findall(r'"(/assets/[^"]+)"', page)


def test_the_page_names_files_that_never_change(client: WebClient) -> None:
    files = named_by(client.get("/").text)
    assert any(file.endswith("/page.js") for file in files)
    for file in files:
        with client.get(file) as response:
            assert response.status_code == 200, file
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_all_modules_of_the_page_are_preloaded(client: WebClient) -> None:
    page = client.get("/").text
    preloaded = re.findall(r'<link rel="modulepreload" href="/assets/\w+/([^"]+)">', page)
    assert preloaded == current_assets().imports_of("page.js")
    assert "api.js" in preloaded


@pytest.mark.parametrize("path", ["/", "/shared"])
def test_the_first_load_of_a_page_is_small(client: WebClient, path: str) -> None:
    page = client.get(path, headers={"Accept-Encoding": "gzip"})
    files = named_by(gzip.decompress(page.data).decode())
    loads = [client.get(file, headers={"Accept-Encoding": "gzip"}).data for file in set(files)]
    assert len(loads) > 15
    assert len(page.data) + sum(map(len, loads)) < 60_000


@pytest.mark.parametrize("path", ["/assets/page.js", f"/assets/{'0' * 16}/page.js"])
def test_a_file_without_its_present_version_is_checked_each_time(
    client: WebClient, path: str
) -> None:
    with client.get(path) as response:
        assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-cache")
        etag = response.headers["ETag"]
    with client.get(path, headers={"If-None-Match": etag}) as response:
        assert response.status_code == 304


@pytest.mark.parametrize("path", ["/", "/assets/page.js", "/assets/page.css"])
def test_text_is_sent_compressed_to_those_who_accept_that(client: WebClient, path: str) -> None:
    with client.get(path) as plain:
        assert "Content-Encoding" not in plain.headers
    with client.get(path, headers={"Accept-Encoding": "br, gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["ETag"] != plain.headers["ETag"]
        assert gzip.decompress(response.data) == plain.data
    with client.get(path, headers={"Accept-Encoding": "gzip;q=0"}) as response:
        assert "Content-Encoding" not in response.headers


def test_the_page_itself_is_checked_each_time(client: WebClient) -> None:
    page = client.get("/")
    assert page.headers["Cache-Control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304
    assert "Content-Security-Policy" in again.headers


@pytest.mark.parametrize(
    ("path", "content_type"), [("/favicon.ico", "image/x-icon"), ("/robots.txt", "text/plain")]
)
def test_files_of_the_site_are_at_its_root(client: WebClient, path: str, content_type: str) -> None:
    with client.get(path) as response:
        assert (response.status_code, response.mimetype) == (200, content_type)


@pytest.mark.parametrize(
    "path", ["page.py", "../page.py", "%2e%2e/page.py", f"{'0' * 16}/../page.py", ".hidden"]
)
def test_nothing_outside_of_the_folder_is_an_asset(client: WebClient, path: str) -> None:
    assert client.get(f"/assets/{path}").status_code == 404


def test_the_example_song_is_served_and_offered(client: WebClient) -> None:
    with client.get("/example.mp3") as response:
        assert (response.status_code, response.mimetype) == (200, "audio/mpeg")
    assert "Try it with an example song" in client.get("/").text


def test_the_page_of_share_links_has_no_form_and_no_list(client: WebClient) -> None:
    html = client.get("/shared").text
    assert "/shared.js" in html
    for element in ("form", "library", "welcome", "remove-dialog", "token-form"):
        assert f'id="{element}"' not in html


def test_the_page_of_share_links_is_for_no_search_engine_and_sends_no_referrer(
    client: WebClient,
) -> None:
    page = client.get("/shared")
    assert '<meta name="robots" content="noindex">' in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
