// Follows the report with gRPC-Web, and nothing but fetch. The page's address may
// name another server: ?server=http://localhost:8080
import { download } from "./grpcweb.js";

const server = new URLSearchParams(location.search).get("server") ?? "http://localhost:8080";
const state = document.getElementById("state");
const table = document.getElementById("report");
const decoder = new TextDecoder();
let text = "";

try {
  for await (const frame of download(server, { path: "/report?follow" })) {
    if (frame.head) state.textContent = `open, status ${frame.head.status}`;
    text += decoder.decode(frame.data, { stream: true });
    const lines = text.split("\r\n");
    text = lines.pop();
    lines.forEach(show);
  }
  state.textContent = "complete";
} catch (error) {
  state.textContent = `broken: ${error.message}`;
}

// Enough for titles without quotes.
function show(line) {
  const row = table.insertRow();
  for (const cell of line.split(",")) row.insertCell().textContent = cell;
}
