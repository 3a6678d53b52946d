"""The yardstick: a reverse proxy with aiohttp that does nothing but forward. Usage: bare_proxy.py UPSTREAM_URL."""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length"}


async def main(upstream: str) -> None:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in HOP)
        url = URL(upstream + request.raw_path, encoded=True)
        async with session.request(request.method, url, data=body, headers=headers, allow_redirects=False) as reply:
            back = CIMultiDict((k, v) for k, v in reply.headers.items() if k.lower() not in HOP)
            if "Content-Length" in reply.headers:
                return web.Response(status=reply.status, headers=back, body=await reply.read())
            response = web.StreamResponse(status=reply.status, headers=back)
            await response.prepare(request)
            async for data in reply.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    try:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        await runner.cleanup()
        await session.close()


uvloop.run(main(sys.argv[1]))
