//! `/api/v1/snippets`: programs that connect, filled in with the address the client came by. Public, and nothing in
//! them but what was asked for: pages of other origins may read them.

use hyper::StatusCode;
use serde::Serialize;

use super::{
    Asked,
    answer::{allow_all_origins, json, problem},
    facts::addresses,
};
use crate::{
    client::Target,
    listener::http::Response,
    message::TopicName,
    snippets::{ALL, Filling, Language},
};

pub(super) const ALL_ROUTE: &str = "/api/v1/snippets";
pub(super) const ONE_ROUTE: &str = "/api/v1/snippets/{id}";

/// What is published and received where the request does not say.
const TOPIC: &str = "demo/hello";

/// What there is.
pub(super) fn all(_: &Asked<'_>) -> Response {
    #[derive(Serialize)]
    struct Row {
        id: &'static str,
        title: &'static str,
    }
    #[derive(Serialize)]
    struct List {
        languages: Vec<Row>,
    }
    let row = |language: &'static Language| Row {
        id: language.id,
        title: language.title,
    };
    let languages = ALL.iter().map(row).collect();
    let mut response = json(StatusCode::OK, &List { languages });
    allow_all_origins(response.headers_mut());
    response
}

/// One of them; `?url=`, `?user=` and `?topic=` fill it in, each with a value of its own where it is left out.
pub(super) fn one(asked: &Asked<'_>) -> Response {
    let mut response = match filled(asked) {
        Ok(snippet) => json(StatusCode::OK, &snippet),
        Err((status, detail)) => problem(asked.head, status, &detail),
    };
    allow_all_origins(response.headers_mut());
    response
}

#[derive(Serialize)]
struct Snippet {
    id: &'static str,
    title: &'static str,
    file: &'static str,
    text: String,
}

fn filled(asked: &Asked<'_>) -> Result<Snippet, (StatusCode, String)> {
    let id = asked.head.uri.path().rsplit('/').next().unwrap_or_default();
    let language = Language::by_id(id).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|language| language.id).collect();
        let detail = format!(
            "There is no snippet {id:?}; there are: {}.",
            known.join(", ")
        );
        (StatusCode::NOT_FOUND, detail)
    })?;
    let wrong = |name: &str, error: &dyn std::fmt::Display| {
        (StatusCode::BAD_REQUEST, format!("{name}: {error}."))
    };
    let parameters = asked.head.uri.query().unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = form_urlencoded::parse(parameters.as_bytes());
        let (_, value) = pairs.find(|(key, value)| key == name && !value.is_empty())?;
        Some(value.into_owned())
    };
    let url = parameter("url").unwrap_or_else(|| own_url(asked));
    let target = Target::parse(&url).map_err(|error| wrong("url", &error))?;
    let topic = parameter("topic").unwrap_or_else(|| TOPIC.to_owned());
    let topic = TopicName::parse(&topic).map_err(|error| wrong("topic", &error))?;
    let user = parameter("user").or_else(|| target.username.clone());
    // Our own authority certifies this host, on whatever port; who certifies another is not for us to know.
    let host = asked.host();
    let has_own_ca = asked.endpoints.facts.load().certificate_authority.is_some()
        && host.name.trim_matches(['[', ']']) == target.host;
    let host = host.with_port();
    let fetch_ca =
        (has_own_ca && asked.is_secure).then(|| format!("curl -k -o ca.crt https://{host}/ca.crt"));
    let text = language.render(&Filling {
        target: &target,
        ca: has_own_ca.then_some("ca.crt"),
        fetch_ca: fetch_ca.as_deref(),
        user: user.as_deref(),
        topic: &topic,
    });
    Ok(Snippet {
        id: language.id,
        title: language.title,
        file: language.file,
        text: text.map_err(|error| wrong("parameters", &error))?,
    })
}

/// Where the client that asks may connect, as it would write it.
fn own_url(asked: &Asked<'_>) -> String {
    let addresses = addresses(asked);
    let first = addresses.first().map(super::facts::Address::url);
    first.unwrap_or_else(|| format!("wss://{}/mqtt", asked.host().with_port()))
}
