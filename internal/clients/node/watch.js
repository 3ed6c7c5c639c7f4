// Opens events.html in Chromium and prints what it shows after each event that it
// asked for. Arguments: the server's URL, the folder of the generated code,
// Chromium, the folder that is served as the URL which follows, and where to put a
// picture of the page before its last event, if anywhere.
import { bundle, withPage } from "./chromium.js";

const [baseUrl, generated, executable, out, origin, picture] = process.argv.slice(2);
const most = 5;
await bundle("events", generated, out);
const url = `${origin}/events.html?server=${encodeURIComponent(baseUrl)}`;
const seen = await withPage(executable, url, async (page) => {
  const types = new Set();
  page.on("request", (request) => types.add(request.headers()["content-type"]));
  const shown = [];
  for (let count = 1; count <= most; count++) {
    await page.waitForFunction((count) => document.getElementById("events").rows.length >= count, count);
    shown.push(await page.$$eval("#events td:nth-child(2)", (cells) => cells.map((cell) => cell.textContent)));
    if (picture && count === most - 1) await page.screenshot({ path: picture });
    await page.evaluate(() => window.next());
  }
  await page.waitForFunction(() => !document.getElementById("state").textContent.startsWith("open"));
  return { shown, state: await page.textContent("#state"), types: [...types].filter(Boolean) };
});
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
