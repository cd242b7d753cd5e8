// What the Node programs share. See tests/clients/client.py for the protocol.

import { spawn } from "node:child_process";
import { copyFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

export const URL_ = process.env.ANTIPHON_URL;
export const ROOT = process.env.ANTIPHON_ROOT;
export const KEY = process.env.ANTIPHON_KEY;
export const MODEL = process.env.ANTIPHON_MODEL;
/** The URL of weather_mcp.py over HTTP. */
export const MCP = process.env.ANTIPHON_MCP;
/** A Python with what our own environment has, for servers that a client starts. */
export const PYTHON = process.env.ANTIPHON_PYTHON;
const EXAMPLE = process.env.ANTIPHON_EXAMPLE ?? "";
const ENVIRONMENT = { ...process.env, MODEL: process.env.ANTIPHON_MODEL };
const HERE = fileURLToPath(new URL(".", import.meta.url));
const CHECK_MS_MAX = 60_000;
const EXAMPLE_MS_MAX = 90_000;

const checks = [];

/** The path of another program of tests/clients/programs/. */
export function programBeside(name) {
  return join(process.env.ANTIPHON_PROGRAMS, name);
}

/** Make `made`, which may be async, a check with this name. */
export function check(name, made) {
  checks.push([name, made]);
}

/** The installed version of a package of this client. */
export function versionOf(name) {
  const path = join(HERE, "node_modules", name, "package.json");
  return JSON.parse(readFileSync(path, "utf8")).version;
}

/** Say the version, make all checks (or those named on the command line), run the example. */
export async function run(version) {
  say({ version });
  const chosen = process.argv.slice(2);
  for (const [name, made] of checks) {
    if (chosen.length === 0 || chosen.some((word) => name.includes(word))) {
      await attempt(name, made, CHECK_MS_MAX);
    }
  }
  if (EXAMPLE && chosen.length === 0) await attempt("example", example, EXAMPLE_MS_MAX);
  process.exit(0);
}

async function attempt(name, made, msMax) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${msMax} ms`)), msMax);
  });
  try {
    await Promise.race([made(), late]);
    say({ check: name, ok: true });
  } catch (error) {
    console.error(error);
    say({ check: name, ok: false, error: `${error?.name}: ${error?.message}`.slice(0, 700) });
  } finally {
    clearTimeout(timer);
  }
}

// Node looks for packages beside a program, so the example is copied to them.
function example() {
  const copy = join(HERE, `example-${basename(EXAMPLE)}`);
  copyFileSync(EXAMPLE, copy);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [copy], { env: ENVIRONMENT });
    let out = "";
    let err = "";
    child.stdout.on("data", (data) => (out += data));
    child.stderr.on("data", (data) => (err += data));
    child.on("close", (code) => {
      if (code === 0 && out.trim()) resolve();
      else reject(new Error(`ended with ${code}: ${err.trim().split("\n").slice(-12).join(" ")}`));
    });
  });
}

/** A loopback server that keeps what it is sent: `url`, `next()` the next request, `close()`. */
export async function receiver() {
  const waiting = [];
  const received = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    response.writeHead(204).end();
    const it = { headers: request.headers, body };
    const reader = waiting.shift();
    if (reader) reader(it);
    else received.push(it);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    next: () =>
      received.length
        ? Promise.resolve(received.shift())
        : new Promise((resolve) => waiting.push(resolve)),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
