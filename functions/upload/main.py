"""The function `upload`: the web form, and the REST API that docs/http.md describes.

It is a Flask app of its own; functions-framework passes every request on to it.
"""

import flask
import functions_framework

from functions.upload import connection
from functions.upload.app import create_app

_app = create_app()


@functions_framework.http
def upload(request: flask.Request) -> flask.Response:
    """Answer `request` with the Flask app of this package."""
    connection.set_stall_timeout(request)
    with _app.request_context(request.environ):
        response = _app.full_dispatch_request()
    return connection.answer_before_body(request, response)
