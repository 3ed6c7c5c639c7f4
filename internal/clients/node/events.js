// Runs in the browser: shows events as they come.
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { HTTPService } from "generated/culvert/v1/service_pb.js";

const baseUrl = new URLSearchParams(location.search).get("server");
const client = createClient(HTTPService, createGrpcWebTransport({ baseUrl }));

// The application holds every event back until somebody asks for it.
window.next = async () => (await client.call({ method: "POST", path: "/next" })).status;

const state = document.getElementById("state");
const rows = document.getElementById("events");
const decoder = new TextDecoder();
const started = performance.now();
let text = "";
let complete = false;

try {
  const head = { path: "/events", headers: [{ name: "accept", value: "text/event-stream" }] };
  for await (const frame of client.download({ head, end: true })) {
    if (frame.head) state.textContent = `open, status ${frame.head.status}`;
    text += decoder.decode(frame.data, { stream: true });
    const events = text.split("\n\n");
    text = events.pop();
    events.forEach(show);
    complete = frame.end;
  }
  // Without the end, the response was cut short.
  state.textContent = complete ? "complete" : "cut short";
} catch (error) {
  state.textContent = `broken: ${error}`;
}

function show(event) {
  const fields = new Map(event.split("\n").map((line) => line.split(": ")));
  const came = `after ${Math.round(performance.now() - started)} ms`;
  const row = rows.insertRow();
  for (const cell of [fields.get("id"), fields.get("data"), came]) row.insertCell().textContent = cell;
}
