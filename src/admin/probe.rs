//! How far a connection came that was opened with `?probe=ID`: the page asks after a WebSocket of its has failed, since
//! a browser tells it nothing but "1006".

use hyper::StatusCode;
use serde::Serialize;

use super::{
    Asked,
    answer::{allow_all_origins, json, problem_json},
};
use crate::{
    listener::http::Response,
    telemetry::{Note, ProbeId},
};

pub(super) const ROUTE: &str = "/api/v1/probe/{id}";

/// Open to everybody and to pages of all origins: who knows the name is who has chosen it.
pub(super) fn seen(asked: &Asked<'_>) -> Response {
    let mut response = answer(asked);
    allow_all_origins(response.headers_mut());
    response
}

fn answer(asked: &Asked<'_>) -> Response {
    #[derive(Serialize)]
    struct Seen {
        id: String,
        seen: Vec<SeenNote>,
    }
    let path = asked.head.uri.path();
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some(id) = ProbeId::parse(name) else {
        let detail =
            "The name of a probe is 8 to 64 letters, digits and -, as in crypto.randomUUID().";
        return problem_json(StatusCode::BAD_REQUEST, detail);
    };
    let now = tokio::time::Instant::now().into_std();
    let Some(notes) = asked.endpoints.probes.seen(&id, now) else {
        let detail = "Nothing has come under this name in the last minute: the connection did not reach this broker, \
                      or so many asked to be remembered that it was not.";
        return problem_json(StatusCode::NOT_FOUND, detail);
    };
    let seen = notes.into_iter().map(SeenNote::from).collect();
    let id = id.to_string();
    json(StatusCode::OK, &Seen { id, seen })
}

#[derive(Serialize)]
struct SeenNote {
    stage: &'static str,
    ok: bool,
    code: String,
    detail: String,
    after_ms: u64,
}

impl From<Note> for SeenNote {
    fn from(note: Note) -> Self {
        Self {
            stage: note.stage.as_str(),
            ok: note.ok,
            code: note.code.into_owned(),
            detail: note.detail,
            after_ms: u64::try_from(note.after.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
