"""A hub inside the cluster: the bundled model's weights under the name of a released one.

It runs in the image of separate, from a ConfigMap with this file and testing/hub_server.py.
"""

import signal
from pathlib import Path

from testing.hub_server import Hub, serve

WEIGHTS = Path("/app/models/htdemucs_tiny/htdemucs_tiny.safetensors")
URL = "http://hub.micro-demucs.svc"
HUB_PORT, CDN_PORT = 8080, 8081


def main() -> None:
    """Serve the hub and its CDN until the process ends."""
    hub = Hub(URL)
    files = {
        "htdemucs_6s.yaml": b"models: ['5c90dfd2']\n",
        "5c90dfd2.safetensors": WEIGHTS.read_bytes(),
    }
    hub.add("adefossez/HTDemucs-6s", files)
    cdn = serve(hub, "cdn", "", "0.0.0.0", CDN_PORT)
    with cdn, serve(hub, "hub", f"{URL}:{CDN_PORT}", "0.0.0.0", HUB_PORT) as address:
        print(f"hub at {address}", flush=True)
        while True:
            signal.pause()


main()
