// Uses an application through a gateway with what a browser has of its own: a
// page, fetch and WebSocket. Prints what happened. Arguments: the gateway's URL,
// Chromium, and the number of messages.
import { withPage } from "./chromium.js";

const [gateway, executable, count] = process.argv.slice(2);
const seen = await withPage(executable, `${gateway}/html`, async (page) => {
  const title = await page.textContent("h1");
  return {
    title,
    ...(await page.evaluate(async (count) => {
      const fetched = await (await fetch("/get?a=1")).json();
      const open = (path) =>
        new Promise((resolve, reject) => {
          const socket = new WebSocket(`ws://${location.host}${path}`);
          socket.onopen = () => resolve(socket);
          socket.onerror = () => reject(new Error("the WebSocket failed"));
        });
      const closed = (socket) => new Promise((resolve) => (socket.onclose = ({ code, reason }) => resolve({ code, reason })));
      const echo = await open("/echo");
      let right = 0;
      await new Promise((resolve) => {
        let received = 0;
        echo.onmessage = ({ data }) => {
          if (data === `message ${received}`) right++;
          if (++received === count) resolve();
        };
        for (let i = 0; i < count; i++) echo.send(`message ${i}`);
      });
      const afterClose = closed(echo);
      echo.close(4000, "enough");
      const ours = await afterClose;
      const theirs = await closed(await open("/bye"));
      return { args: fetched.args, right, ours, theirs };
    }, Number(count))),
  };
});
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
