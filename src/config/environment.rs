//! `GATEMQ_SECTION__KEY=value`: the environment laid over the file. Start at [`overlay`].

use std::{collections::BTreeMap, rc::Rc};

use super::{
    diagnostics::{Place, Problems},
    document::{Entry, Node, Scalar, Table},
    file::File,
    section::{Description, Shape, Value},
    suggestion,
};

/// What the names of all variables begin with.
pub(super) const PREFIX: &str = "GATEMQ_";

/// The variables of this process that configure it. Bytes that are no UTF-8 become U+FFFD, and are refused as such.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| {
            let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
            (text(name), text(value))
        })
        .filter(|(name, _)| name.starts_with(PREFIX))
}

/// A step from a section to a value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Index(usize),
    Key(String),
}

/// Lays the variables over what the file says. A variable that there is not is a problem; others are ignored.
pub(super) fn overlay(
    table: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
    problems: &mut Problems,
) {
    let ours = variables
        .filter(|(name, value)| name.starts_with(PREFIX) && !is_injected(name, value))
        .map(|(name, value)| (steps(&name), name, value));
    // In the order of their steps, so that section 2 is there before section 10.
    let ours: BTreeMap<_, _> = ours
        .map(|(steps, name, value)| ((steps, name), value))
        .collect();
    for ((steps, name), value) in ours {
        let assignment: Rc<str> = format!("{name}={value}").into();
        let whole = Place::Variable(assignment.clone(), 0..name.len());
        if let Err(message) = target(&steps) {
            problems.add(&whole, message, suggestion::for_variable(&name));
            continue;
        }
        let entry = Entry {
            key: whole.clone(),
            place: Place::Variable(assignment.clone(), name.len() + 1..assignment.len()),
            node: Node::Scalar(Scalar::Word(value.into())),
        };
        if let Err(next) = insert(table, &steps, entry, &whole) {
            let message = format!("sections are counted from 0 without a gap; the next is {next}");
            problems.add(&whole, message, None);
        }
    }
}

/// Kubernetes and Docker describe a service named `gatemq` to its neighbours in variables that begin as ours do.
fn is_injected(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    let described = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let port = rest.split('_').next().unwrap_or_default();
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT") && address
        || described
}

fn steps(name: &str) -> Vec<Step> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let steps = name.split("__").map(|step| {
        let lower = step.to_ascii_lowercase();
        match step.parse() {
            Ok(index) if step.bytes().all(|byte| byte.is_ascii_digit()) => Step::Index(index),
            // Whatever is not in capitals is the name of no key.
            _ if step.bytes().any(|byte| byte.is_ascii_lowercase()) => Step::Key(step.to_owned()),
            _ => Step::Key(lower),
        }
    });
    steps.collect()
}

/// Whether the steps lead to a value.
fn target(steps: &[Step]) -> Result<(), String> {
    let mut shape = File::SHAPE;
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        let (Shape::Section(description) | Shape::Sections(description)) = shape else {
            return Err("there is no such key".to_owned());
        };
        let Step::Key(key) = step else {
            return Err("there is no such key".to_owned());
        };
        let Some((_, next)) = description.keys.iter().find(|(name, _)| name == key) else {
            return Err(match description.title {
                "" => format!("unknown key \"{key}\" at the top level"),
                title => format!("unknown key \"{key}\" in {title}"),
            });
        };
        if let Shape::Sections(Description { title, .. }) = next
            && !matches!(steps.next(), Some(Step::Index(_)))
        {
            return Err(format!(
                "there may be several {title}: a number must say which"
            ));
        }
        shape = *next;
    }
    match shape {
        Shape::Scalar | Shape::List => Ok(()),
        Shape::Section(Description { title, .. }) | Shape::Sections(Description { title, .. }) => {
            Err(format!(
                "{title} is a section, its keys have variables of their own"
            ))
        }
    }
}

/// Puts the value where the steps lead; the next free number where they would leave a gap between sections.
fn insert(table: &mut Table, steps: &[Step], value: Entry, place: &Place) -> Result<(), usize> {
    let Some((Step::Key(key), rest)) = steps.split_first() else {
        return Ok(()); // `target` has seen that a key comes first, and after each number
    };
    let section = |node| Entry {
        key: place.clone(),
        place: place.clone(),
        node,
    };
    match rest.first() {
        None => {
            table.insert(key.clone(), value);
            Ok(())
        }
        Some(Step::Key(_)) => {
            let entry =
                (table.entry(key.clone())).or_insert_with(|| section(Node::Table(Table::new())));
            match &mut entry.node {
                Node::Table(inner) => insert(inner, rest, value, place),
                // The file says something else there, which is a problem of its own.
                Node::Scalar(_) | Node::List(_) => Ok(()),
            }
        }
        Some(Step::Index(index)) => {
            let entry =
                (table.entry(key.clone())).or_insert_with(|| section(Node::List(Vec::new())));
            let Node::List(list) = &mut entry.node else {
                return Ok(());
            };
            if *index > list.len() {
                return Err(list.len());
            }
            if *index == list.len() {
                list.push(section(Node::Table(Table::new())));
            }
            match &mut list[*index].node {
                Node::Table(inner) => insert(inner, &rest[1..], value, place),
                Node::Scalar(_) | Node::List(_) => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostics::Source;

    fn check(variables: &[(&str, &str)], expected: &str) {
        let mut problems = Problems::default();
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        overlay(&mut Table::new(), variables, &mut problems);
        assert_eq!(
            problems.into_errors(&Source::default()).to_string(),
            expected
        );
    }

    #[test]
    fn an_unknown_variable_is_refused_with_a_suggestion() {
        check(
            &[("GATEMQ_MQTT__ALLOW_ANONYMUS", "true")],
            "GATEMQ_MQTT__ALLOW_ANONYMUS: unknown key \"allow_anonymus\" in [mqtt]\n    \
             GATEMQ_MQTT__ALLOW_ANONYMUS=true\n    \
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^\n    \
             did you mean GATEMQ_MQTT__ALLOW_ANONYMOUS?",
        );
    }

    #[test]
    fn a_section_needs_its_number_and_a_value_its_key() {
        check(
            &[("GATEMQ_LISTENER__BIND", ":1")],
            "GATEMQ_LISTENER__BIND: there may be several [[listener]]: a number must say which\n    \
             GATEMQ_LISTENER__BIND=:1\n    ^^^^^^^^^^^^^^^^^^^^^\n    \
             did you mean GATEMQ_LISTENER__0__BIND?",
        );
        check(
            &[("GATEMQ_MQTT", "1")],
            "GATEMQ_MQTT: [mqtt] is a section, its keys have variables of their own\n    \
             GATEMQ_MQTT=1\n    ^^^^^^^^^^^\n    \
             did you mean GATEMQ_MQTT__ALLOW_ANONYMOUS?",
        );
    }

    #[test]
    fn sections_are_counted_without_a_gap() {
        check(
            &[("GATEMQ_LISTENER__1__BIND", ":1")],
            "GATEMQ_LISTENER__1__BIND: sections are counted from 0 without a gap; the next is 0\n    \
             GATEMQ_LISTENER__1__BIND=:1\n    ^^^^^^^^^^^^^^^^^^^^^^^^",
        );
        let names: Vec<_> = (0..12)
            .rev()
            .map(|index| format!("GATEMQ_LISTENER__{index}__BIND"))
            .collect();
        let variables: Vec<_> = names.iter().map(|name| (name.as_str(), ":0")).collect();
        check(&variables, "");
    }

    #[test]
    fn what_kubernetes_tells_of_a_service_named_gatemq_is_ignored() {
        check(
            &[
                ("GATEMQ_SERVICE_HOST", "10.0.0.1"),
                ("GATEMQ_SERVICE_PORT", "443"),
                ("GATEMQ_SERVICE_PORT_HTTPS", "443"),
                ("GATEMQ_PORT", "tcp://10.0.0.1:443"),
                ("GATEMQ_PORT_443_TCP", "tcp://10.0.0.1:443"),
                ("GATEMQ_PORT_443_TCP_PROTO", "tcp"),
                ("GATEMQ_HEADLESS_PORT_8883_TCP_ADDR", "10.0.0.1"),
                ("PATH", "/bin"),
            ],
            "",
        );
    }
}
