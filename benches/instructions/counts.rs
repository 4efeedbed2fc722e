//! The counts that are kept, and what others are to them. Knows neither valgrind nor what is counted.

use std::{collections::BTreeMap, fmt};

/// How far from what is kept a count may be, in percent: less than this comes and goes with code that is elsewhere.
const TOLERANCE: f64 = 5.0;

/// Instructions of one operation by its name, and by what they were counted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    /// Compiler and valgrind: others make other counts.
    pub(crate) tools: String,
    pub(crate) by_name: BTreeMap<String, u64>,
}

/// One operation, before and now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) name: String,
    pub(crate) kept: Option<u64>,
    pub(crate) counted: Option<u64>,
}

/// What is to be thought of a comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Same,
    /// Worth to be kept.
    Faster,
    Slower,
    /// Nothing is kept to compare it with.
    New,
    /// It is kept and was not counted.
    Gone,
}

impl Counts {
    /// Reads what [`Display`](fmt::Display) has written.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut counts = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(tools) = comment.trim().strip_prefix("Counted by ") {
                    counts.tools = tools.to_owned();
                }
                continue;
            }
            let parsed = line
                .rsplit_once(' ')
                .and_then(|(name, count)| Some((name.trim_end(), count.parse().ok()?)));
            let Some((name, count)) = parsed else {
                return Err(format!(
                    "line {number} is {line:?} instead of a name and a number"
                ));
            };
            counts.by_name.insert(name.to_owned(), count);
        }
        Ok(counts)
    }

    /// These as they were kept, beside those counted now.
    pub(crate) fn compare(&self, counted: &Self) -> Vec<Comparison> {
        let mut names: Vec<_> = self.by_name.keys().chain(counted.by_name.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let compare = |name: &String| Comparison {
            name: name.clone(),
            kept: self.by_name.get(name).copied(),
            counted: counted.by_name.get(name).copied(),
        };
        names.into_iter().map(compare).collect()
    }
}

impl Comparison {
    pub(crate) fn verdict(&self) -> Verdict {
        match (self.kept, self.counted) {
            (None, _) => Verdict::New,
            (Some(_), None) => Verdict::Gone,
            (Some(kept), Some(counted)) => match percent(kept, counted) {
                more if more > TOLERANCE => Verdict::Slower,
                less if less < -TOLERANCE => Verdict::Faster,
                _ => Verdict::Same,
            },
        }
    }
}

impl Verdict {
    /// Whether somebody has to do something.
    pub(crate) const fn is_failure(self) -> bool {
        matches!(self, Self::Slower | Self::New | Self::Gone)
    }
}

/// How much more there is now.
fn percent(kept: u64, counted: u64) -> f64 {
    (counted as f64 - kept as f64) / kept as f64 * 100.0
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Instructions of one operation. `cargo bench --bench instructions` compares, and with\n\
             # UPDATE_INSTRUCTIONS=1 writes this anew.\n\
             # Counted by {}",
            self.tools
        )?;
        for (name, count) in &self.by_name {
            writeln!(f, "{name:<48} {count:>8}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<48} ", self.name)?;
        match (self.kept, self.counted) {
            (Some(kept), Some(counted)) => {
                write!(f, "{counted:>8}")?;
                if kept != counted {
                    let percent = percent(kept, counted);
                    write!(f, ", {percent:+.1} % of the {kept} that are kept")?;
                }
                Ok(())
            }
            (None, Some(counted)) => write!(f, "{counted:>8}, and none is kept"),
            (Some(kept), None) => write!(f, "was not counted, and {kept} are kept"),
            (None, None) => Ok(()),
        }
    }
}
