"""An HTTP server on loopback that receives webhooks."""

from collections.abc import Callable
from typing import Any

from testing.http_receiver import HttpReceiver, Response, in_turn


class WebhookReceiver(HttpReceiver):
    """Records every request in `requests`, and answers with `responses` in turn, then with 200."""

    def __init__(self, *responses: Response) -> None:
        super().__init__(in_turn(*responses, then=(200, {})))
        self.url += "/hook?key=in-the-query"


StartReceiver = Callable[..., WebhookReceiver]
"""The fixture `receiver`: starts a receiver with these responses."""

Pending = Callable[[], list[dict[str, Any]]]
"""The fixture `pending`: takes every delivery that waits on the bus."""
