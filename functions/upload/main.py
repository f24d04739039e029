"""The web side of the service: the form, and the REST API of docs/http.md.

It is a Flask app of its own; functions-framework hands every request to it.
"""

import io

import flask
import functions_framework

from functions.upload.app import web

_web = web()


@functions_framework.http
def upload(request: flask.Request) -> flask.Response:
    """Answer `request` as the web app does."""
    with _web.request_context(request.environ):
        response = _web.full_dispatch_request()
    # functions-framework reads what is left of the body into memory before it answers; a refused
    # song may be long. The server itself drops it piece by piece.
    request.environ["wsgi.input"] = io.BytesIO()
    request.environ["CONTENT_LENGTH"] = "0"
    return response
