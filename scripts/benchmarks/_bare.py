"""The upper bound of Starlette and uvicorn: one JSON endpoint without a database, served as the product is.

python -m scripts.benchmarks._bare PORT ANSWER.json
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def main() -> None:
    port, path = int(sys.argv[1]), Path(sys.argv[2])
    answer = json.loads(path.read_text("utf-8"))

    async def get(_: Request) -> Response:
        return JSONResponse(answer)

    async def post(request: Request) -> Response:
        await request.json()
        return JSONResponse(answer, 201)

    web = Starlette(routes=[Route("/", get, methods=["GET"]), Route("/", post, methods=["POST"])])
    config = uvicorn.Config(
        web, log_config=None, access_log=False, lifespan="off", proxy_headers=False, server_header=False
    )
    listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
