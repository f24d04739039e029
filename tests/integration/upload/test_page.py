from collections.abc import Callable

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
    assert "script-src 'self'" in policy
    assert "connect-src 'self' https://store.example" in policy
    assert "media-src 'self' https://store.example" in policy


def test_scripts_and_styles_of_the_page_are_served(client: WebClient) -> None:
    for file, content_type in (("page.js", "text/javascript"), ("page.css", "text/css")):
        with client.get(f"/assets/{file}") as response:
            assert (response.status_code, response.mimetype) == (200, content_type)
