//! One step of the walk down the tree of topics: where a filter's next match can be.

use smallvec::SmallVec;

/// What a topic is to a filter that is looked for in order.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It matches.
    Match,
    /// It does not, nor does any before this one.
    Leap(Vec<u8>),
    /// It does not, nor does any after it.
    End,
}

/// The levels of a filter.
pub(super) type Levels<'a> = SmallVec<[&'a str; 16]>;

/// Compares a topic, as it lies in the map, with a filter.
pub(super) fn step(levels: &Levels<'_>, topic: &[u8]) -> Step {
    // A leading wildcard does not match names that begin with `$` [MQTT-4.7.2-1].
    if topic.first() == Some(&b'$') && matches!(levels.first(), Some(&("+" | "#"))) {
        return Step::Leap(vec![b'$' + 1]);
    }
    // The end of what the last `+` stands for: where nothing below fits, its next sibling may.
    let mut plus_end = None;
    let mut begin = Some(0);
    for &level in levels {
        if level == "#" {
            return Step::Match;
        }
        let Some(at) = begin else {
            // Too short: on to its children.
            let child = if level == "+" { "" } else { level };
            return Step::Leap([topic, &[0], child.as_bytes()].concat());
        };
        let name_end = topic[at..]
            .iter()
            .position(|byte| *byte == 0)
            .map_or(topic.len(), |length| at + length);
        if level == "+" {
            plus_end = Some(name_end);
        } else {
            match topic[at..name_end].cmp(level.as_bytes()) {
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Less => {
                    return Step::Leap([&topic[..at], level.as_bytes()].concat());
                }
                std::cmp::Ordering::Greater => return past(topic, plus_end),
            }
        }
        begin = (name_end < topic.len()).then_some(name_end + 1);
    }
    match begin {
        None => Step::Match,
        Some(_) => past(topic, plus_end),
    }
}

/// Behind everything that begins with the topic up to `end`: 1 is the least byte above the separator.
fn past(topic: &[u8], end: Option<usize>) -> Step {
    end.map_or(Step::End, |end| Step::Leap([&topic[..end], &[1]].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, topic: &str, expected: &Step) {
        let levels = filter.split('/').collect();
        assert_eq!(
            &step(&levels, topic.replace('/', "\0").as_bytes()),
            expected,
            "{filter} at {topic}"
        );
    }

    fn leap(to: &str) -> Step {
        Step::Leap(to.as_bytes().to_vec())
    }

    #[test]
    fn a_step_leaps_to_the_next_topic_that_can_match() {
        check("a/b", "a/b", &Step::Match);
        check("a/b", "a", &leap("a\0b"));
        check("a/b", "a/a", &leap("a\0b"));
        check("a/b", "a/c", &Step::End);
        check("a/b", "a/b/c", &Step::End);
        check("a/#", "a", &Step::Match);
        check("a/#", "b", &Step::End);
        check("+/x", "a/a", &leap("a\0x"));
        check("+/x", "a/y", &leap("a\u{1}"));
        check("+", "a/y", &leap("a\u{1}"));
        check("+/+", "a", &leap("a\0"));
        check("#", "$SYS/a", &leap("%"));
        check("$SYS/#", "$SYS/a", &Step::Match);
    }
}
