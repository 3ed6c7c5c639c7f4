"""Server-sent events, each of which waits until somebody asks for it at /next."""
import asyncio

asked = asyncio.Queue()


async def app(scope, receive, send):
    if scope["path"] == "/next":
        asked.put_nowait(None)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number, text in enumerate(["rain", "stream", "culvert", "river", "sea"]):
        if number > 0:
            await asked.get()
        event = b"id: %d\ndata: %s\n\n" % (number, text.encode())
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await asked.get()
    await send({"type": "http.response.body", "body": b""})
