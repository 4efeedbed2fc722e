// Builds the page into the directory named by WEB_OUT (or dist/): checks the types, bundles, compresses, and holds the
// first load to its budget. build.rs runs it in a copy of this directory.
//
// Exit code 1: the sources are at fault. 70: a tool is; build.rs then embeds the plain page instead.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const out = process.env.WEB_OUT ?? "dist";

/** What a visitor loads before MQTT.js, compressed with brotli. */
const FIRST_LOAD_LIMIT = 15_000;

/** Below this, an encoding saves less than its header costs. */
const WORTH_COMPRESSING = 256;

function fail(code, message) {
  console.error(message);
  process.exit(code);
}

function checkTypes() {
  const tsc = path.join("node_modules", "typescript", "bin", "tsc");
  const check = spawnSync(process.execPath, [tsc, "--noEmit", "--pretty", "false"], { encoding: "utf8" });
  if (check.error) fail(70, `tsc cannot be started: ${check.error.message}`);
  if (check.status !== 0) fail(1, `The types of web/src do not fit:\n${check.stdout}${check.stderr}`);
}

async function bundle() {
  const esbuild = await import("esbuild").catch((error) => fail(70, `esbuild cannot be loaded: ${error.message}`));
  const built = esbuild.build({
    entryPoints: ["src/main.tsx", "style.css"],
    bundle: true,
    splitting: true,
    format: "esm",
    minify: true,
    charset: "utf8",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    outdir: out,
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    define: { "process.env.NODE_ENV": '"production"' },
    legalComments: "none",
    metafile: true,
    write: false,
    logLevel: "silent",
  });
  return built.catch((error) => {
    const messages = (error.errors ?? []).map((e) => `${e.location?.file ?? ""}:${e.location?.line ?? ""}: ${e.text}`);
    fail(messages.length > 0 ? 1 : 70, `esbuild failed:\n${messages.join("\n") || error.message}`);
  });
}

const brotli = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });

/** The files the entry pulls in before anything is asked for, itself included. */
function staticImports(outputs, entry, seen = new Set()) {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  for (const file of outputs[entry].imports) {
    if (file.kind === "import-statement") staticImports(outputs, file.path, seen);
  }
  return seen;
}

checkTypes();
const { outputFiles, metafile } = await bundle();
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const icon = readFileSync("icon.svg");
const iconName = `icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8).toUpperCase()}.svg`;
const files = [[iconName, icon], ...outputFiles.map((file) => [path.basename(file.path), file.contents])];
const compressed = new Map();
for (const [name, bytes] of files) {
  writeFileSync(path.join(out, name), bytes);
  compressed.set(name, brotli(bytes));
  if (bytes.length < WORTH_COMPRESSING) continue;
  writeFileSync(path.join(out, `${name}.br`), compressed.get(name));
  writeFileSync(path.join(out, `${name}.gz`), gzipSync(bytes, { level: 9 }));
}

const outputs = metafile.outputs;
const outputOf = (source) => Object.keys(outputs).find((name) => outputs[name].entryPoint === source);
const firstLoad = [...staticImports(outputs, outputOf("src/main.tsx"))].map((name) => path.basename(name));
const size = firstLoad.reduce((sum, name) => sum + compressed.get(name).length, 0);
console.log(`first load: ${size} of ${FIRST_LOAD_LIMIT} bytes of JavaScript in ${firstLoad.length} files`);
if (size > FIRST_LOAD_LIMIT) {
  fail(1, `The first load takes ${size} bytes of JavaScript (brotli), ${FIRST_LOAD_LIMIT} are allowed: move what is not ` +
    "needed at first behind an import()");
}

const page = readFileSync("index.html", "utf8")
  .replaceAll("%script%", path.basename(outputOf("src/main.tsx")))
  .replaceAll("%style%", path.basename(outputOf("style.css")))
  .replaceAll("%icon%", iconName);
writeFileSync(path.join(out, "index.html"), page);
