"""The function `upload`: the web form, and the REST API that docs/http.md describes.

It is a Flask app of its own, which functions-framework serves.
"""

import flask
import functions_framework

from functions.upload.app import create_app

_app = create_app()

# functions-framework imports this module inside the context of the app that serves it. That app has
# routes of its own (/robots.txt, /static; none for a path with a line break), answers them in HTML,
# and reads bodies whole: no request reaches it.
flask.current_app.wsgi_app = _app.wsgi_app  # type: ignore[method-assign]


@functions_framework.http
def upload(request: flask.Request) -> flask.Response:
    """Answer `request` with the Flask app of this package."""
    with _app.request_context(request.environ):
        return _app.full_dispatch_request()
