// What the programs that drive Chromium share.
import { build } from "vite";
import { chromium } from "playwright-core";
import { copyFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

const here = fileURLToPath(new URL(".", import.meta.url));

/** Makes the page name.html with what name.js needs, in the folder out. */
export async function bundle(name, generated, out) {
  await build({
    root: here,
    configFile: false,
    logLevel: "error",
    resolve: { alias: { generated } },
    build: {
      outDir: out,
      emptyOutDir: false,
      lib: { entry: join(here, `${name}.js`), formats: ["es"], fileName: () => `${name}.js` },
    },
  });
  await copyFile(join(here, `${name}.html`), join(out, `${name}.html`));
}

/** Opens url in Chromium and calls use with the page. */
export async function withPage(executablePath, url, use) {
  const browser = await chromium.launch({
    executablePath,
    // The sandbox needs rights that containers do not have; /dev/shm is small there.
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 900, height: 560 } });
    page.setDefaultTimeout(120_000);
    page.on("pageerror", (error) => console.error(error));
    page.on("console", (message) => console.error(message.text()));
    await page.goto(url);
    return await use(page);
  } finally {
    await browser.close();
  }
}
