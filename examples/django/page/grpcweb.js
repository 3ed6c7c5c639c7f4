// gRPC-Web with messages in JSON, which culvert understands as well as the binary
// ones, so that a page needs no generated code. For those, and in earnest, there
// is @connectrpc/connect-web.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md

/**
 * Requests head from the application behind server, and yields the frames of the
 * response as they come, with data as bytes. Throws unless the response is whole.
 */
export async function* download(server, head) {
  const response = await fetch(`${server}/culvert.v1.HTTPService/Download`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+json", "x-grpc-web": "1" },
    body: message({ head, end: true }),
  });
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  let complete = false;
  let status = response.headers;
  for await (const { flags, payload } of messages(response.body)) {
    const text = new TextDecoder().decode(payload);
    if (flags & 0x80) {
      status = new Headers(text.trim().split("\r\n").map((line) => line.split(/: ?(.*)/s, 2)));
      break;
    }
    const frame = JSON.parse(text);
    frame.data = Uint8Array.from(atob(frame.data ?? ""), (char) => char.charCodeAt(0));
    complete = frame.end ?? false;
    yield frame;
  }
  if (status.get("grpc-status") !== "0") throw new Error(decodeURIComponent(status.get("grpc-message") ?? "no status"));
  if (!complete) throw new Error("the response was cut short");
}

/** A message with its prefix: flags, and the length in four bytes. */
function message(value) {
  const payload = new TextEncoder().encode(JSON.stringify(value));
  const framed = new Uint8Array(5 + payload.length);
  new DataView(framed.buffer).setUint32(1, payload.length);
  framed.set(payload, 5);
  return framed;
}

/** Splits a stream of bytes into messages. */
async function* messages(stream) {
  let pending = new Uint8Array();
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const joined = new Uint8Array(pending.length + value.length);
      joined.set(pending);
      joined.set(value, pending.length);
      pending = joined;
      while (pending.length >= 5) {
        const end = 5 + new DataView(pending.buffer, pending.byteOffset).getUint32(1);
        if (pending.length < end) break;
        yield { flags: pending[0], payload: pending.slice(5, end) };
        pending = pending.slice(end);
      }
    }
  } finally {
    await reader.cancel();
  }
  if (pending.length > 0) throw new Error("the RPC was cut short");
}
