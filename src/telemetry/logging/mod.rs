//! Log lines: one for each event, to standard error, for people or as JSON. What is written and in which form may
//! change while the process runs.
//!
//! Start at [`init`]. A line is a [`Line`]: the event's time, level, target, message and fields, then the fields of the
//! spans around it that the event does not have itself. Nothing that a peer sent can begin a line of its own.

mod line;

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{Event, Subscriber, span};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::ParseError,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use self::line::{Fields, Line};
use super::{LogConfig, LogFormat};

/// Changes what is logged while the process runs.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    is_json: Arc<AtomicBool>,
}

/// A text that is no filter. Reads as the end of a sentence that begins with the text itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidFilter(String);

/// Begins to write logs to standard error. Where this process logs already, the first set-up stays.
///
/// # Errors
/// The filter is none.
pub fn init(config: &LogConfig) -> Result<LogHandle, InvalidFilter> {
    let (filter, handle) = reload::Layer::new(parse(&config.filter)?);
    let is_json = Arc::new(AtomicBool::new(config.format == LogFormat::Json));
    let has_colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let lines = Lines {
        is_json: is_json.clone(),
        has_colours,
        out: |line: &str| {
            // Nobody is left to be told where standard error is closed.
            let _ = io::stderr().lock().write_all(line.as_bytes());
        },
    };
    // Fails where there is a subscriber already: several brokers in the process of a test.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    Ok(LogHandle {
        filter: handle,
        is_json,
    })
}

/// Whether this is a filter.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), InvalidFilter> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, InvalidFilter> {
    /// rustls warns of what peers send, without saying who; the storage engine tells of its inner life, and what fails
    /// in it is logged by who uses it. Whoever wants to know names them.
    const QUIET: [(&str, &str); 3] = [
        ("rustls", "rustls=error"),
        ("fjall", "fjall=off"),
        ("lsm_tree", "lsm_tree=off"),
    ];
    let invalid = |error: ParseError| InvalidFilter(error.to_string());
    let mut parsed = EnvFilter::try_new(filter).map_err(invalid)?;
    for (name, silent) in QUIET {
        if !filter.contains(name) {
            parsed = parsed.add_directive(silent.parse().map_err(invalid)?);
        }
    }
    Ok(parsed)
}

impl LogHandle {
    /// Logs this from now on.
    ///
    /// # Errors
    /// The filter is none; nothing has changed.
    pub fn set(&self, config: &LogConfig) -> Result<(), InvalidFilter> {
        let filter = parse(&config.filter)?;
        let is_json = config.format == LogFormat::Json;
        self.is_json.store(is_json, Ordering::Relaxed);
        // Fails only where `init` did not install it.
        let _ = self.filter.reload(filter);
        Ok(())
    }
}

impl fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is no log filter: {}", self.0)
    }
}

impl std::error::Error for InvalidFilter {}

/// Makes a line of each event and hands it out.
struct Lines<Out> {
    is_json: Arc<AtomicBool>,
    has_colours: bool,
    out: Out,
}

impl<S, Out> Layer<S> for Lines<Out>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    Out: Fn(&str) + 'static,
{
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut time = String::new();
        // Writing to a string cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_missing(outer);
            }
        }
        let line = Line {
            time,
            level: *event.metadata().level(),
            target: event.metadata().target(),
            fields,
        };
        let text = if self.is_json.load(Ordering::Relaxed) {
            line.json()
        } else {
            line.text(self.has_colours)
        };
        (self.out)(&text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::Value;

    use super::*;

    /// What is written while `work` runs.
    fn written(format: LogFormat, filter: &str, work: impl FnOnce()) -> String {
        let out = Arc::new(Mutex::new(String::new()));
        let sink = out.clone();
        let lines = Lines {
            is_json: Arc::new(AtomicBool::new(format == LogFormat::Json)),
            has_colours: false,
            out: move |line: &str| sink.lock().unwrap().push_str(line),
        };
        let subscriber = tracing_subscriber::registry()
            .with(parse(filter).unwrap())
            .with(lines);
        tracing::subscriber::with_default(subscriber, work);
        out.lock().unwrap().clone()
    }

    fn text(work: impl FnOnce()) -> String {
        let line = written(LogFormat::Text, "info", work);
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        rest.to_owned()
    }

    fn json(work: impl FnOnce()) -> serde_json::Map<String, Value> {
        let line = written(LogFormat::Json, "info", work);
        serde_json::from_str(line.trim_end()).expect("one object")
    }

    #[test]
    fn a_text_line_has_time_level_message_and_fields() {
        let line = text(|| {
            tracing::info!(code = "listening", addr = %"[::]:443", tls = true, n = 3, "it listens");
        });
        assert_eq!(
            line,
            "INFO  it listens code=listening addr=[::]:443 tls=true n=3\n"
        );
    }

    #[test]
    fn what_a_peer_sent_cannot_begin_a_line() {
        let line = text(|| {
            tracing::warn!(
                client_id = "a\nERROR b",
                empty = "",
                "bad\r\nname \u{1b}[2J\u{202e}"
            );
        });
        assert_eq!(
            line,
            "WARN  bad\\u{d}\\u{a}name \\u{1b}[2J\\u{202e} client_id=\"a\\nERROR b\" empty=\"\"\n"
        );
    }

    #[test]
    fn json_begins_with_the_known_names() {
        let line = written(LogFormat::Json, "info", || {
            tracing::error!(
                target: "gatemq::x",
                bytes = 7_u64,
                level = "mine",
                code = "refused",
                "say \"no\""
            );
        });
        let rest = line.split_once(",\"level\"").expect("after the time").1;
        assert!(line.starts_with("{\"ts\":\"2"), "{line}");
        assert_eq!(
            rest,
            ":\"error\",\"target\":\"gatemq::x\",\"code\":\"refused\",\"msg\":\"say \\\"no\\\"\",\
             \"bytes\":7,\"field.level\":\"mine\"}\n"
        );
    }

    #[test]
    fn fields_of_spans_follow_those_of_the_event() {
        let object = json(|| {
            let span = tracing::info_span!(
                "connection",
                peer = "1.2.3.4",
                client_id = tracing::field::Empty
            );
            span.record("client_id", "c");
            let _inside = span.enter();
            tracing::info!(peer = "mine", "x");
        });
        assert_eq!(object["peer"], "mine");
        assert_eq!(object["client_id"], "c");
    }

    #[test]
    fn an_error_brings_its_causes() {
        let object = json(|| {
            let error = Outer(io::Error::other("disk full"));
            tracing::error!(error = &error as &dyn std::error::Error, "x");
        });
        assert_eq!(object["error"], "storage failed: disk full");
    }

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("storage failed")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_filter_decides() {
        let work = || {
            tracing::info!("shown");
            tracing::debug!("hidden");
        };
        assert_eq!(written(LogFormat::Text, "info", work).lines().count(), 1);
        let all = written(LogFormat::Text, "off,gatemq=trace", work);
        assert!(all.contains("DEBUG gatemq::telemetry::logging::tests: hidden"));
        assert_eq!(written(LogFormat::Text, "off", work), "");
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let error = check_filter("gatemq=loud").unwrap_err();
        assert!(
            error.to_string().starts_with("is no log filter: "),
            "{error}"
        );
        assert_eq!(check_filter("info,gatemq::mqtt=trace"), Ok(()));
    }
}
