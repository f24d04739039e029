from functions.upload.page import content_security_policy


def test_the_page_loads_data_and_media_from_itself_and_the_store() -> None:
    policy = content_security_policy("https://store.example").split("; ")
    assert "connect-src 'self' https://store.example" in policy
    assert "media-src 'self' https://store.example" in policy


def test_the_page_runs_only_its_own_scripts() -> None:
    policy = content_security_policy("https://store.example").split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
