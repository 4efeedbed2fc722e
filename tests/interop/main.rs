//! Clients of other projects against the real binary: mosquitto_pub, mosquitto_sub and mosquitto_rr, MQTT.js 5 and 4 in
//! Node, Paho in Python. `tests/run install` installs them, `tests/run interop` runs this. Each test has a broker of its
//! own. Start at [`together`], where they all meet; what MQTT.js and Paho do is in `mqttjs/` and `paho_python/`, what users
//! of Paho Java begin with in [`paho_java`].

mod broker;
mod crash;
mod mosquitto;
mod paho_java;
mod program;
mod scripts;
mod snippets;
mod together;
