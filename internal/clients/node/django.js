// Uses examples/django with Chromium as a person does: through a gateway, and then
// a page over gRPC-Web that has none. Prints what it saw. Its argument is an
// object in JSON: gateway, server and page are URLs, attachment is a file to
// upload, downloaded where to put it when it is downloaded again, and pictures a
// folder for screenshots, if there are to be any.
import { join } from "node:path";
import { withPage } from "./chromium.js";

const { executable, gateway, server, page: direct, password, attachment, downloaded, pictures } = JSON.parse(process.argv[2]);
const messages = ["through the tunnel", "und zurück", "full duplex"];

async function take(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
}

async function addInAdmin(page, title, text) {
  await page.goto(`${gateway}/admin/notes/note/add/`);
  await page.fill("#id_title", title);
  await page.fill("#id_text", text);
  await page.click("input[name=_save]");
  return (await page.textContent(".messagelist .success")).trim();
}

async function logIn(page) {
  await page.goto(`${gateway}/admin/`);
  await page.fill("#id_username", "demo");
  await page.fill("#id_password", password);
  await page.click("input[type=submit]");
  return (await page.textContent("#content h1")).trim();
}

async function upload(page) {
  await page.goto(`${gateway}/`);
  await page.fill("#id_title", "With a file");
  await page.fill("#id_text", "Uploaded by Chromium.");
  await page.setInputFiles("#id_attachment", attachment);
  await page.click("#add button");
  const link = page.locator("#notes tr", { hasText: "With a file" }).locator("a");
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  await download.saveAs(downloaded);
  return download.suggestedFilename();
}

async function converse(page) {
  await page.waitForFunction(() => document.getElementById("state").value === "open");
  for (const message of messages) {
    await page.fill("#say input", message);
    await page.click("#say button");
  }
  await page.waitForFunction((count) => document.querySelectorAll("#echoes li").length >= count, messages.length);
  return page.$$eval("#echoes li", (items) => items.map((item) => item.textContent));
}

// The report is open while a note is added in another window: it shows by itself.
async function follow(page) {
  const tab = await page.context().browser().newPage({ viewport: { width: 900, height: 400 } });
  await tab.goto(`${direct}/?server=${encodeURIComponent(server)}`);
  await tab.waitForFunction(() => document.querySelectorAll("#report tr").length >= 4);
  const state = await tab.textContent("#state");
  await addInAdmin(page, "Added while it was open", "");
  await tab.waitForFunction(() => document.querySelectorAll("#report tr").length >= 5);
  await take(tab, "grpcweb");
  return { state, titles: await tab.$$eval("#report td:nth-child(2)", (cells) => cells.map((cell) => cell.textContent)) };
}

const seen = await withPage(executable, `${gateway}/`, async (page) => {
  const seen = { first: await page.textContent("#notes td") };
  seen.admin = await logIn(page);
  seen.added = await addInAdmin(page, "From the admin", "Added by Chromium.");
  await take(page, "admin");
  seen.name = await upload(page);
  seen.echoes = await converse(page);
  await page.mouse.move(0, 0);
  await take(page, "notes");
  await page.reload();
  seen.visits = await page.textContent("header p");
  seen.followed = await follow(page);
  return seen;
});
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
