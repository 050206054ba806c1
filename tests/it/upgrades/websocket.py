"""A WebSocket server and a client, by the library `websockets`."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

MEGABYTE = 1 << 20


async def answer(connection):
    if connection.request.path == "/headers":
        await connection.send(json.dumps(list(connection.request.headers.raw_items())))
    async for message in connection:
        if message == "in pieces":
            await connection.send(["in ", "", "pieces"])
        else:
            await connection.send(message)


async def server():
    async with serve(answer, "127.0.0.1", 0, max_size=4 * MEGABYTE, subprotocols=["chat"]) as running:
        print(running.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def echoed(connection, message):
    await connection.send(message)
    back = await connection.recv()
    whole = message if isinstance(message, (str, bytes)) else type(message[0])().join(message)
    assert back == whole, (back[:100], whole[:100])


async def client(uri):
    async with connect(uri, max_size=4 * MEGABYTE, subprotocols=["chat"], compression=None) as connection:
        assert connection.subprotocol == "chat"
        await echoed(connection, "text")
        await echoed(connection, b"\x00\xff")
        await echoed(connection, "")
        await echoed(connection, b"")
        await echoed(connection, ["frag", "", "ments"])
        await echoed(connection, "in pieces")
        await echoed(connection, bytes(range(256)) * (MEGABYTE // 256))
        await echoed(connection, [b"x" * 1000] * 1049)
        await (await connection.ping(b"ping"))
        await connection.close(4000, "enough")
    assert (connection.close_code, connection.close_reason) == (4000, "enough")
    async with connect(uri, max_size=4 * MEGABYTE, subprotocols=["chat"]) as compressed:
        await echoed(compressed, "x" * MEGABYTE)
    print("all frames came back", flush=True)


async def headers(uri):
    async with connect(uri, subprotocols=["chat"]) as connection:
        print(await connection.recv())


asyncio.run({"server": server, "client": client, "headers": headers}[sys.argv[1]](*sys.argv[2:]))
