//! Figures of several runs, and the table of their medians with GateMQ's beside each of the others.

use std::fmt::Write;

use crate::{
    peer::Kind,
    statistics::{cell, ratio},
};

/// The figures of one scenario, a line for each thing that was measured, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    lines: Vec<Line>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Line {
    label: String,
    /// One of each run.
    values: Vec<(Kind, Vec<f64>)>,
}

impl Figures {
    /// Takes down what one run has measured.
    pub(crate) fn record(&mut self, kind: Kind, label: &str, value: f64) {
        let known = self.lines.iter().position(|line| line.label == label);
        let at = known.unwrap_or_else(|| {
            self.lines.push(Line {
                label: label.to_owned(),
                values: Vec::new(),
            });
            self.lines.len() - 1
        });
        let values = &mut self.lines[at].values;
        match values.iter_mut().find(|(of, _)| *of == kind) {
            Some((_, values)) => values.push(value),
            None => values.push((kind, vec![value])),
        }
    }

    /// Takes down what stands below the table, once.
    pub(crate) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Medians, with the least and the greatest where they differ, and how many times theirs GateMQ's are.
    pub(crate) fn table(&self, peers: &[Kind]) -> String {
        let others = || peers.iter().filter(|kind| **kind != Kind::GateMq);
        let mut text = String::from("| |");
        for kind in peers {
            let _ = write!(text, " {} |", kind.name());
        }
        for kind in others() {
            let _ = write!(text, " ÷ {} |", kind.name());
        }
        let columns = 1 + peers.len() + others().count();
        let _ = writeln!(text, "\n|{}", "---|".repeat(columns));
        for line in &self.lines {
            let _ = write!(text, "| {} |", line.label);
            for kind in peers {
                let _ = write!(text, " {} |", cell(line.of(*kind)));
            }
            for kind in others() {
                let _ = write!(text, " {} |", ratio(line.of(Kind::GateMq), line.of(*kind)));
            }
            text.push('\n');
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

impl Line {
    fn of(&self, kind: Kind) -> &[f64] {
        let values = self.values.iter().find(|(of, _)| *of == kind);
        values.map_or(&[], |(_, values)| values)
    }
}
