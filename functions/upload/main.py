"""The web side of the service: the form, and the REST API of docs/http.md.

It is a Flask app of its own; functions-framework hands every request to it.
"""

import flask
import functions_framework

from functions.upload import connection
from functions.upload.app import web

_web = web()


@functions_framework.http
def upload(request: flask.Request) -> flask.Response:
    """Answer `request` as the web app does."""
    connection.limit_stalls(request)
    with _web.request_context(request.environ):
        response = _web.full_dispatch_request()
    return connection.answer_first(request, response)
