"""Read the final response of a receiver, and skip interim ones (RFC 9110, section 15.2).

http.client skips 100 only, and takes 103 (Early Hints) or any other 1xx for the response.
"""

from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, parse_headers

_MAX_INTERIM = 20


class FinalResponse(HTTPResponse):
    """The first response that is not interim.

    101 counts as final: nobody asked for another protocol, so nothing that can be read follows.
    """

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(1 + _MAX_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status == HTTPStatus.SWITCHING_PROTOCOLS or not 100 <= status < 200:
                return version, status, reason
            parse_headers(self.fp)
        raise HTTPException(f"more than {_MAX_INTERIM} interim responses")
