// What comes over the wire before anybody connects: little, compressed, cached; MQTT.js only with the first connection.
import assert from "node:assert/strict";

/** Compressed JavaScript before MQTT.js. */
const FIRST_LOAD_LIMIT = 15_000;
/** No chunk with MQTT.js in it is smaller. */
const MQTTJS_AT_LEAST = 50_000;

export default async function run(harness) {
  const person = await harness.person();
  const page = await person.newPage();
  const scripts = [];
  const sockets = [];
  page.on("response", (response) => {
    if (response.request().resourceType() === "script") scripts.push(response);
  });
  page.on("websocket", (socket) => sockets.push(socket.url()));
  const response = await page.goto(harness.url, { waitUntil: "networkidle" });

  const headers = await response.allHeaders();
  assert.match(headers["content-security-policy"], /default-src 'none'|default-src 'self'/);
  assert.doesNotMatch(headers["content-security-policy"], /unsafe-(inline|eval)/);
  assert.match(headers["content-security-policy"], /worker-src[^;]*blob:/, "MQTT.js keeps its pings");
  assert.equal(await page.evaluate(() => isSecureContext), true);

  const first = await transferred(scripts);
  assert.notEqual(first.length, 0, "the page has scripts");
  const total = first.reduce((sum, { size }) => sum + size, 0);
  assert.equal(total < FIRST_LOAD_LIMIT, true, `the first load is ${total} bytes of JavaScript`);
  assert.deepEqual(sockets, [], "nothing connects by itself");

  await page.getByTestId("connect").click();
  await page.locator("[data-testid=status][data-state=connected]").waitFor();
  const later = (await transferred(scripts)).slice(first.length);
  assert.equal(later.some(({ decoded }) => decoded > MQTTJS_AT_LEAST), true, "MQTT.js comes with the first connection");
  const own = new URL(harness.url);
  assert.equal(new URL(sockets[0]).host, own.host, "it connects to where it came from");
  assert.equal(new URL(sockets[0]).protocol, "wss:");

  const style = new URL(await page.locator("link[rel=stylesheet]").getAttribute("href"), harness.url).pathname;
  await links(page, harness.url);
  await encodings(harness, [style, ...first.map(({ path }) => path)]);
}

/** What the foot of the page leads to is shown, not saved. */
async function links(page, url) {
  const paths = await page.locator("footer a").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  assert.equal(paths.includes("/metrics"), true);
  for (const path of paths) assert.equal((await page.goto(`${url}${path}`)).status(), 200, path);
}

async function transferred(responses) {
  return Promise.all(
    responses.map(async (response) => ({
      path: new URL(response.url()).pathname,
      size: (await response.request().sizes()).responseBodySize,
      decoded: (await response.body()).length,
    })),
  );
}

/** Each file comes in the encoding that is asked for, and not again where the client has it. */
async function encodings(harness, paths) {
  for (const path of paths) {
    for (const encoding of ["br", "gzip"]) {
      const { status, headers } = await harness.get(path, { "accept-encoding": encoding });
      assert.equal(status, 200, path);
      assert.equal(headers["content-encoding"], encoding, path);
      assert.match(headers.vary, /accept-encoding/i, path);
      const again = await harness.get(path, { "accept-encoding": encoding, "if-none-match": headers.etag });
      assert.equal(again.status, 304, path);
      assert.equal(again.body.length, 0, path);
    }
    const plain = await harness.get(path, { "accept-encoding": "identity" });
    assert.equal(plain.headers["content-encoding"], undefined, path);
  }
}
