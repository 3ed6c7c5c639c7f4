// Does in Chromium what a web page can do to a server that it is not of, and
// prints what Chromium sent and what came back. Arguments: the server's URL,
// Chromium, the page's origin, whose name is made to resolve to the loopback, the
// path of the RPC, and "page" for a page of its own, or "rebound" for one whose
// name has come to be the server's.
import { chromium } from "playwright-core";

const [server, executablePath, origin, path, kind] = process.argv.slice(2);
const name = new URL(origin).hostname;
const browser = await chromium.launch({
  executablePath,
  args: [
    ...["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    `--host-resolver-rules=MAP ${name} 127.0.0.1`,
    // Chromium asks before a page may reach the loopback. Others do not.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
  ],
});
const seen = [];
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  if (kind === "rebound") {
    // With a route, Playwright answers preflights itself; there are none here.
    await page.route(`${origin}/page.html`, (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }));
  }
  page.on("response", async (response) => {
    const request = response.request();
    seen.push({
      method: request.method(),
      url: response.url(),
      type: (await request.allHeaders())["content-type"] ?? "",
      status: response.status(),
    });
  });
  await page.goto(`${origin}/page.html`);
  seen.length = 0;
  const attacks = kind === "rebound" ? reboundAttacks : pageAttacks;
  const outcomes = await page.evaluate(attacks, { server, path });
  process.exitCode = await new Promise((resolve) =>
    process.stdout.write(JSON.stringify({ seen, outcomes }), () => resolve(0)));
} finally {
  await browser.close();
}

/** What a page can do with a server of another origin. Runs in the page. */
async function pageAttacks({ server, path }) {
  const url = server + path;
  const body = '{"method":"POST","path":"/attacked"}';
  const outcomes = {};
  const attempt = async (name, act) => {
    try {
      // What Chromium forbids may never be answered, one way or the other.
      const result = await Promise.race([act(), new Promise((resolve) => setTimeout(resolve, 5_000, "silence"))]);
      outcomes[name] = result instanceof Response ? `${result.type} ${result.status}` : String(result);
    } catch (reason) {
      outcomes[name] = `${reason.name}`;
    }
  };
  const post = (type, options = {}) => () =>
    fetch(url, { method: "POST", body: type === null ? new Blob([body]) : new Blob([body], { type }), ...options });

  // Without a preflight, as Fetch has it for its safelisted types.
  for (const type of [null, "text/plain", "text/plain;charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data"]) {
    await attempt(`no-cors ${type}`, post(type, { mode: "no-cors" }));
    await attempt(`cors ${type}`, post(type, { mode: "cors" }));
    await attempt(`no-cors with cookies ${type}`, post(type, { mode: "no-cors", credentials: "include" }));
    await attempt(`keepalive ${type}`, post(type, { mode: "no-cors", keepalive: true }));
  }
  await attempt("no-cors application/json", post("application/json", { mode: "no-cors" }));
  for (const type of ["text/plain;application/json", "text/plain,application/json", "application/x-www-form-urlencoded;a=application/connect+json"]) {
    await attempt(`no-cors ${type}`, () => fetch(url, { method: "POST", mode: "no-cors", body, headers: { "Content-Type": type } }));
  }
  // With one, which is not answered.
  for (const type of ["application/json", "application/proto", "application/connect+json", "application/connect+proto", "application/grpc-web+proto",
    "application/grpc-web-text", "application/grpc"]) {
    await attempt(`cors ${type}`, post(type, { mode: "cors" }));
  }
  for (const method of ["PUT", "DELETE", "GET"]) await attempt(method, () => fetch(url, { method, mode: "cors", headers: { "X-A": "b" } }));

  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json"]) {
    await attempt(`beacon ${type}`, () => navigator.sendBeacon(url, new Blob([body], { type })));
  }
  await attempt("ping", () => new Promise((resolve) => {
    const link = document.createElement("a");
    Object.assign(link, { href: "#pinged", ping: url });
    document.body.append(link);
    link.click();
    setTimeout(resolve, 100, "sent, perhaps");
  }));
  await attempt("service worker", () => navigator.serviceWorker.register(url));
  await attempt("top-level form", () => new Promise((resolve) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "POST", action: url, enctype: "text/plain", target: "_blank" });
    const input = document.createElement("input");
    input.name = '{"method":"POST","path":"/attacked","text":"';
    input.value = '"}';
    form.append(input);
    document.body.append(form);
    form.submit();
    setTimeout(resolve, 500, "sent, perhaps");
  }));
  await attempt("XMLHttpRequest", () => new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.onloadend = () => resolve(request.status);
    request.send(body);
  }));

  const loaded = (element, attributes) => () => new Promise((resolve) => {
    const one = document.createElement(element);
    one.onload = () => resolve("load");
    one.onerror = () => resolve("error");
    Object.assign(one, attributes);
    document.body.append(one);
  });
  // Connect's GET, which a server answers for methods without side effects only.
  const get = `${url}?connect=v1&encoding=json&message=${encodeURIComponent(body)}`;
  await attempt("img", loaded("img", { src: get }));
  await attempt("script", loaded("script", { src: get }));
  await attempt("iframe", loaded("iframe", { src: get }));
  await attempt("stylesheet", loaded("link", { rel: "stylesheet", href: get }));
  await attempt("EventSource", () => new Promise((resolve) => (new EventSource(get).onerror = () => resolve("error"))));
  await attempt("WebSocket", () => new Promise((resolve) => (new WebSocket(get.replace("http", "ws")).onerror = () => resolve("error"))));

  for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
    await attempt(`form ${enctype}`, () => new Promise((resolve) => {
      const frame = document.createElement("iframe");
      frame.name = enctype;
      document.body.append(frame);
      const form = document.createElement("form");
      Object.assign(form, { method: "POST", action: url, enctype, target: enctype });
      const input = document.createElement("input");
      // As text/plain it is {"method":"POST","path":"/attacked","text":"="}.
      input.name = '{"method":"POST","path":"/attacked","text":"';
      input.value = '"}';
      form.append(input);
      document.body.append(form);
      frame.onload = () => resolve("load");
      form.submit();
    }));
  }
  return outcomes;
}

/** What a page can do with a server that has become one of its own origin. */
async function reboundAttacks({ path }) {
  const outcomes = {};
  for (const type of ["application/json", "application/connect+json", "application/grpc-web+proto", "text/plain"]) {
    const response = await fetch(path, { method: "POST", body: '{"path":"/attacked"}', headers: { "Content-Type": type } });
    outcomes[type] = String(response.status);
  }
  outcomes.GET = String((await fetch("/")).status);
  return outcomes;
}
