// Makes RPCs in Chromium: those that stdin says, with messages in JSON, and prints
// how they went. Arguments: the protocol, the server's URL, the folder of the
// generated code, Chromium, and the folder that is served as the URL which follows.
import { json } from "node:stream/consumers";
import { bundle, withPage } from "./chromium.js";

const [kind, baseUrl, generated, executable, out, origin] = process.argv.slice(2);
const calls = await json(process.stdin);
await bundle("page", generated, out);
const replies = await withPage(executable, `${origin}/page.html`, async (page) => {
  await page.waitForFunction(() => window.run);
  return page.evaluate(([...args]) => window.run(...args), [kind, baseUrl, calls]);
});
process.stdout.write(JSON.stringify(replies), () => process.exit(0));
