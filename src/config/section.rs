//! How a section is read: every key once, by its type; a key that is not there is a problem. Start at [`section!`],
//! which makes the structs of `file.rs`.

use super::{
    diagnostics::{Place, Problems},
    document::{Entry, Node, Scalar},
    suggestion,
};

/// A value that was written, and where.
#[derive(Clone, Debug)]
pub(super) struct Written<T> {
    /// The value.
    pub value: T,
    /// Where it stands; of a section, its heading.
    pub place: Place,
    /// Its key.
    pub name: &'static str,
}

/// A key of a section.
#[derive(Clone, Debug, Default)]
pub(super) enum Key<T> {
    /// It was not written.
    #[default]
    Absent,
    /// It was written, and is a problem already.
    Wrong,
    /// It was written.
    Is(Written<T>),
}

/// A type that a key may have.
pub(super) trait Value: Sized {
    /// What it looks like from outside.
    const SHAPE: Shape;

    /// Reads it. What is wrong is a problem, and `None`.
    fn read(entry: &Entry, name: &'static str, problems: &mut Problems) -> Option<Self>;

    /// Reads it together with its place.
    fn read_written(
        entry: &Entry,
        name: &'static str,
        problems: &mut Problems,
    ) -> Option<Written<Self>> {
        let value = Self::read(entry, name, problems)?;
        let place = entry.place.clone();
        Some(Written { value, place, name })
    }
}

/// A value that is written as one.
pub(super) trait FromScalar: Sized {
    /// What is expected, for who wrote something else: `text`, `a whole number`.
    const EXPECTED: &'static str;

    /// Reads it.
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong>;
}

/// What is wrong with a value.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Wrong {
    /// What it is: lower case, no full stop.
    pub message: String,
    /// What to do instead.
    pub suggestion: Option<String>,
}

/// What a key looks like from outside.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// One value.
    Scalar,
    /// A list of values.
    List,
    /// A section.
    Section(&'static Description),
    /// Sections in double brackets.
    Sections(&'static Description),
}

/// What a section looks like from outside.
#[derive(Debug)]
pub(super) struct Description {
    /// Its heading; empty at the top of the file.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [(&'static str, Shape)],
}

impl<T> Key<T> {
    /// What was written, if it can be used.
    pub(super) const fn get(&self) -> Option<&Written<T>> {
        match self {
            Self::Is(written) => Some(written),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Its value, if it can be used.
    pub(super) fn value(&self) -> Option<&T> {
        self.get().map(|written| &written.value)
    }

    /// Whether it was not written.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T: Value> Key<T> {
    /// Reads it where it was written.
    pub(super) fn read(entry: &Entry, name: &'static str, problems: &mut Problems) -> Self {
        T::read_written(entry, name, problems).map_or(Self::Wrong, Self::Is)
    }
}

impl Wrong {
    /// Something is wrong, and nothing can be suggested.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            suggestion: None,
        }
    }

    /// What was probably meant, as it would be written.
    pub(super) fn meant(self, value: &str) -> Self {
        self.hint(&format!("did you mean {value}?"))
    }

    /// A suggestion in a sentence of its own.
    pub(super) fn hint(self, sentence: &str) -> Self {
        Self {
            suggestion: Some(sentence.to_owned()),
            ..self
        }
    }

    /// Another type was expected.
    pub(super) fn kind(expected: &str, found: &str) -> Self {
        Self::new(format!("expected {expected}, found {found}"))
    }
}

impl<T: FromScalar> Value for T {
    const SHAPE: Shape = Shape::Scalar;

    fn read(entry: &Entry, name: &'static str, problems: &mut Problems) -> Option<Self> {
        if problems.is_full() {
            return None;
        }
        let read = match &entry.node {
            Node::Scalar(scalar) => Self::from_scalar(scalar),
            Node::List(_) => Err(Wrong::kind(Self::EXPECTED, "a list")),
            Node::Table(_) => Err(Wrong::kind(Self::EXPECTED, "a section")),
        };
        match read {
            Ok(value) => Some(value),
            Err(wrong) => {
                let message = format!("{name}: {}", wrong.message);
                problems.add(&entry.place, message, wrong.suggestion);
                None
            }
        }
    }
}

impl<T: Value> Value for Vec<Written<T>> {
    const SHAPE: Shape = match T::SHAPE {
        Shape::Section(description) | Shape::Sections(description) => Shape::Sections(description),
        Shape::Scalar | Shape::List => Shape::List,
    };

    fn read(entry: &Entry, name: &'static str, problems: &mut Problems) -> Option<Self> {
        let elements: &[Entry] = match &entry.node {
            Node::List(elements) => elements,
            Node::Table(_) => {
                let (message, suggestion) = match T::SHAPE {
                    Shape::Section(Description { title, .. })
                    | Shape::Sections(Description { title, .. }) => (
                        format!("{name}: one section, where there may be several"),
                        Some(format!("write {title}, in double brackets")),
                    ),
                    Shape::Scalar | Shape::List => {
                        (format!("{name}: expected a list, found a section"), None)
                    }
                };
                problems.add(&entry.place, message, suggestion);
                return None;
            }
            Node::Scalar(Scalar::Word(word)) => &split(word, entry),
            // One value is a list of one.
            Node::Scalar(_) => std::slice::from_ref(entry),
        };
        let read = |element| T::read_written(element, name, problems);
        let values: Self = elements.iter().filter_map(read).collect();
        // A list of nothing but problems is not the empty list.
        (elements.is_empty() || !values.is_empty()).then_some(values)
    }
}

/// The elements of a list in the environment, each with its own place.
fn split(word: &str, entry: &Entry) -> Vec<Entry> {
    if word.trim().is_empty() {
        return Vec::new();
    }
    let mut at = 0;
    let elements = word.split(',').map(|part| {
        let begin = at + part.len() - part.trim_start().len();
        at += part.len() + 1;
        let part = part.trim();
        let place = match &entry.place {
            Place::Variable(assignment, span) => {
                let begin = span.start + begin;
                Place::Variable(assignment.clone(), begin..begin + part.len())
            }
            Place::File(_) | Place::Flag(_) => entry.place.clone(),
        };
        Entry {
            key: place.clone(),
            place,
            node: Node::Scalar(Scalar::Word(part.into())),
        }
    });
    elements.collect()
}

/// The keys of a section, or a problem where something else stands.
pub(super) fn read_keys<'a>(
    entry: &'a Entry,
    title: &str,
    name: &str,
    problems: &mut Problems,
) -> Option<&'a super::document::Table> {
    let found = match &entry.node {
        Node::Table(table) => return Some(table),
        Node::Scalar(scalar) => scalar.kind(),
        Node::List(_) => "a list",
    };
    let message = format!("{name}: expected the section {title}, found {found}");
    problems.add(&entry.place, message, None);
    None
}

/// There is no such key.
pub(super) fn unknown_key(
    description: &'static Description,
    key: &str,
    entry: &Entry,
    problems: &mut Problems,
) {
    if problems.is_full() {
        return;
    }
    let section = matches!(entry.node, Node::Table(_));
    let message = match (section, description.title) {
        (true, "") => format!("unknown section \"{key}\""),
        (true, title) => format!("unknown section \"{key}\" in {title}"),
        (false, "") => format!("unknown key \"{key}\" at the top level"),
        (false, title) => format!("unknown key \"{key}\" in {title}"),
    };
    problems.add(&entry.key, message, suggestion::for_key(description, key));
}

/// Makes the struct of a section from its heading and its keys; every key may be absent.
macro_rules! section {
    ($(#[$document:meta])* $name:ident $title:literal { $($key:ident: $type:ty,)* }) => {
        $(#[$document])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name {
            $(pub(super) $key: Key<$type>,)*
        }

        impl $name {
            const DESCRIPTION: Description = Description {
                title: $title,
                keys: &[$((stringify!($key), <$type as Value>::SHAPE),)*],
            };
        }

        impl Value for $name {
            const SHAPE: Shape = Shape::Section(&Self::DESCRIPTION);

            fn read(entry: &Entry, name: &'static str, problems: &mut Problems) -> Option<Self> {
                let keys = read_keys(entry, $title, name, problems)?;
                let mut section = Self::default();
                for (key, entry) in keys {
                    match key.as_str() {
                        $(stringify!($key) => {
                            section.$key = Key::read(entry, stringify!($key), problems);
                        })*
                        _ => unknown_key(&Self::DESCRIPTION, key, entry, problems),
                    }
                }
                Some(section)
            }
        }
    };
}
pub(super) use section;
