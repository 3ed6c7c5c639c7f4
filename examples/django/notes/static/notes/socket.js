// Sends what is typed over a WebSocket, and shows what comes back.
const url = new URL("/socket", location);
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";

const state = document.getElementById("state");
const form = document.getElementById("say");
const { message } = form.elements;
const socket = new WebSocket(url);

socket.onopen = () => (state.value = "open");
socket.onclose = () => (state.value = "closed");
socket.onmessage = ({ data }) => {
  const item = document.createElement("li");
  item.textContent = data;
  document.getElementById("echoes").append(item);
};

form.onsubmit = (event) => {
  event.preventDefault();
  socket.send(message.value);
  message.value = "";
};
