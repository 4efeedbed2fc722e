//! Programs that connect with the libraries people use, filled in with the address, certificate and user at hand: each
//! subscribes to a topic, publishes a greeting to it and prints what it receives. The page shows them, `gatemq snippet`
//! prints them, and the interop tests run them as they are printed. Start at [`Language::render`].
//!
//! Each is a template in this folder: `{{ name|literal }}` is a string of its language, `{{ name|shell }}` a word of a
//! shell. Passwords are never in them: they come from the environment variable `MQTT_PASSWORD`, in a browser from a
//! question.

use std::{fmt, sync::LazyLock};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    client::{Carrier, Target},
    message::TopicName,
};

/// A library or a program that speaks MQTT.
#[derive(Debug)]
pub struct Language {
    /// What it is asked for by: `paho-python`.
    pub id: &'static str,
    /// What people call it: `Paho Python`.
    pub title: &'static str,
    /// The name a file of it has: what is before the dot matters to Java, what is behind to everybody.
    pub file: &'static str,
    template: &'static str,
}

/// What a program is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// Where it connects.
    pub target: &'a Target,
    /// The file with the authority that has certified the broker; `None` where the system trusts it.
    pub ca: Option<&'a str>,
    /// What fetches that file first, as one writes it in a shell.
    pub fetch_ca: Option<&'a str>,
    /// The user name; `None` connects anonymously.
    pub user: Option<&'a str>,
    /// What it publishes to and subscribes to.
    pub topic: &'a TopicName,
}

macro_rules! languages {
    ($($id:literal, $title:literal, $file:literal, $template:literal;)+) => {
        /// All of them, in the order in which they are shown.
        pub static ALL: &[Language] = &[$(Language {
            id: $id,
            title: $title,
            file: $file,
            template: include_str!($template),
        }),+];
    };
}

languages! {
    "mqttjs", "MQTT.js", "hello.mjs", "mqttjs.mjs";
    "paho-js", "Paho JavaScript", "hello.html", "paho_js.html";
    "paho-python", "Paho Python", "hello.py", "paho_python.py";
    "paho-java", "Paho Java", "Hello.java", "paho_java.java";
    "hivemq-java", "HiveMQ Java", "Hello.java", "hivemq_java.java";
    "paho-c", "Paho C", "hello.c", "paho_c.c";
    "paho-cpp", "Paho C++", "hello.cpp", "paho_cpp.cpp";
    "paho-go", "Paho Go", "hello.go", "paho_go.go";
    "mqttnet", "MQTTnet", "Program.cs", "mqttnet.cs";
    "rumqttc", "rumqttc", "main.rs", "rumqttc.rs";
    "mosquitto", "mosquitto clients", "hello.sh", "mosquitto.sh";
    "curl", "curl", "hello.sh", "curl.sh";
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::None);
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.add_filter("literal", |text: &str| literal(text));
    templates.add_filter("shell", |text: &str| shell(text));
    for language in ALL {
        templates
            .add_template(language.id, language.template)
            .expect("each is rendered by a test");
    }
    templates
});

impl Language {
    /// The one with this id.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Self> {
        ALL.iter().find(|language| language.id == id)
    }

    /// The program, ready to run.
    ///
    /// # Errors
    /// Something with a control character in it, which no program could show.
    pub fn render(&self, filling: &Filling<'_>) -> Result<String, Unprintable> {
        filling.check()?;
        let template = TEMPLATES.get_template(self.id).expect("one of ALL");
        let text = template.render(values(filling));
        let text = text.expect("each is rendered by a test");
        // What an optional last line leaves behind is not part of it.
        Ok(format!("{}\n", text.trim_end()))
    }
}

impl Filling<'_> {
    fn check(&self) -> Result<(), Unprintable> {
        let named = [
            ("user name", self.user),
            ("name of the CA file", self.ca),
            ("topic", Some(self.topic.as_str())),
        ];
        for (name, text) in named {
            if text.is_some_and(|text| text.chars().any(char::is_control)) {
                return Err(Unprintable(name));
            }
        }
        Ok(())
    }
}

/// What has a control character in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unprintable(&'static str);

impl fmt::Display for Unprintable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} has a control character in it", self.0)
    }
}

impl std::error::Error for Unprintable {}

/// What the templates call by name.
fn values(filling: &Filling<'_>) -> Value {
    let target = filling.target;
    let host = if target.host.contains(':') {
        format!("[{}]", target.host)
    } else {
        target.host.clone()
    };
    let websocket = target.carrier != Carrier::Tcp;
    let path = if websocket { &*target.path } else { "" };
    let url = |scheme: &str, default_port: Option<u16>| {
        if default_port == Some(target.port) {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", target.port)
        }
    };
    let (plain, paho, http) = match (websocket, target.tls) {
        (true, true) => (url("wss", Some(443)), None, url("https", Some(443))),
        (true, false) => (url("ws", Some(80)), None, url("http", Some(80))),
        (false, true) => (
            url("mqtts", None),
            Some(url("ssl", None)),
            url("https", Some(443)),
        ),
        (false, false) => (
            url("mqtt", None),
            Some(url("tcp", None)),
            url("http", Some(80)),
        ),
    };
    context! {
        url => plain.clone() + path,
        // Paho's libraries but those for Python and JavaScript have names of their own for the schemes.
        paho_url => paho.unwrap_or_else(|| plain.clone() + path),
        http_url => http,
        curl_url => format!("mqtt://{host}:{}/{}", target.port, in_url(filling.topic)),
        host => &*target.host,
        port => target.port,
        path,
        websocket,
        tls => target.tls,
        ca => filling.ca.filter(|_| target.tls),
        fetch_ca => filling.fetch_ca.filter(|_| target.tls),
        user => filling.user,
        topic => filling.topic.as_str(),
    }
}

/// A string as all these languages write it. There are no control characters in it ([`Filling::check`]), so quotes and
/// backslashes are all that needs care; HTML does more in its template.
fn literal(text: &str) -> String {
    let mut literal = String::from('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            literal.push('\\');
        }
        literal.push(character);
    }
    literal.push('"');
    literal
}

/// A topic as the path of a URL.
fn in_url(topic: &TopicName) -> impl fmt::Display {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(topic.as_str(), ESCAPED)
}

/// A word as a shell reads it.
fn shell(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests;
