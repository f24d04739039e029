"""Firefox, with an answer to the one command of Playwright that Firefox ESR 153 does not have.

Run as Playwright runs Firefox: `python -m … ARGUMENTS`. It starts the Firefox that FIREFOX names,
and passes on what the two send each other.
"""

import asyncio
import json
import os
import re
import sys

import aiohttp
from aiohttp import web

UNKNOWN = "emulation.setMediaFeaturesOverride"


async def main() -> int:
    firefox = await asyncio.create_subprocess_exec(
        os.environ["FIREFOX"], *sys.argv[1:], stderr=asyncio.subprocess.PIPE
    )
    assert firefox.stderr
    address = ""
    while not address:
        line = (await firefox.stderr.readline()).decode()
        if not line:
            return await firefox.wait()
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            address = found[1]
        else:
            print(line, end="", file=sys.stderr, flush=True)

    async def session(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{address}/session", max_msg_size=0) as browser,
        ):

            async def to_client() -> None:
                async for message in browser:
                    await client.send_str(message.data)
                await client.close()

            answers = asyncio.create_task(to_client())
            async for message in client:
                command = json.loads(message.data)
                if command["method"] == UNKNOWN:
                    done = {"type": "success", "id": command["id"], "result": {}}
                    await client.send_str(json.dumps(done))
                else:
                    await browser.send_str(message.data)
            answers.cancel()
        return client

    app = web.Application()
    app.router.add_get("/session", session)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    print(f"WebDriver BiDi listening on ws://127.0.0.1:{port}", file=sys.stderr, flush=True)
    while line := (await firefox.stderr.readline()).decode():
        print(line, end="", file=sys.stderr, flush=True)
    return await firefox.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
