/**
 * The page of the broker. Start at `app.tsx`, which says what is on it and when.
 *
 * First load, held under 15,000 bytes by `build.mjs`: the frame (`app`), the form to connect (`connect`, `address`,
 * `settings`), the addresses (`addresses`), their texts (`words/first`). With the first connection comes `console`, and
 * with it MQTT.js: the connection (`session`), subscriptions and publishing (`subscribe`, `publish`), the messages
 * (`log`, `topics`, `messages`, `detail`, `payload`, `export`). After it comes why there is no connection (`diagnosis`),
 * which has to be here before the broker is gone; code for other clients (`snippets`) when it is asked for.
 *
 * Whatever comes from a broker is put into the page as text, never as markup. Messages are kept in a ring, painted once
 * for each frame, and only the rows in sight exist.
 */

import { render } from "preact";
import { App, applySettings } from "./app";
import { Settings } from "./settings";

const settings = new Settings();
applySettings(settings);
const root = document.getElementById("app");
if (root) render(<App settings={settings} />, root);
