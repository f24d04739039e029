import urllib3


def test_functions_framework_serves_page_api_and_probes(process: str) -> None:
    for path, content_type in (
        ("/", "text/html; charset=utf-8"),
        ("/assets/page.css", "text/css; charset=utf-8"),
        ("/apiv1/queue", "application/json"),
        ("/healthz", "application/json"),
    ):
        response = urllib3.request("GET", process + path)
        assert (response.status, response.headers["Content-Type"]) == (200, content_type)
