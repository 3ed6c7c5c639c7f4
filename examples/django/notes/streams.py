"""ASGI applications for what Django's views cannot do: both ways at once, and
one row after the other without holding up anybody else."""

import asyncio
import csv
import io
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async

from .models import Note

# How often a report that is followed looks for new notes, in seconds.
POLL_INTERVAL = 0.2


async def echo(scope, receive, send):
    """Answer each piece of the request's body as soon as it has come."""
    await start(send, b"application/octet-stream")
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        await send_body(send, message.get("body", b""), more)


async def socket(scope, receive, send):
    """Answer each message of a WebSocket with itself."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        answer = {key: message.get(key) for key in ("text", "bytes")}
        await send({"type": "websocket.send", **answer})


async def report(scope, receive, send):
    """Send the notes as CSV, a row at a time.

    With ?follow the report goes on: notes are sent when they are added, until
    the client has enough.
    """
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    await start(send, b"text/csv; charset=utf-8")
    await send_body(send, row("number", "title", "created"), True)
    gone = asyncio.ensure_future(disconnected(receive))
    last = 0
    while not gone.done():
        for note in await notes_after(last):
            last = note.pk
            line = row(note.pk, note.title, note.created.isoformat())
            await send_body(send, line, True)
        if "follow" not in query:
            break
        await asyncio.wait({gone}, timeout=POLL_INTERVAL)
    gone.cancel()
    await send_body(send, b"", False)


@sync_to_async
def notes_after(pk):
    return list(Note.objects.filter(pk__gt=pk).order_by("pk"))


def row(*cells):
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


async def disconnected(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def start(send, content_type):
    headers = [(b"content-type", content_type)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def send_body(send, body, more):
    await send({"type": "http.response.body", "body": body, "more_body": more})
