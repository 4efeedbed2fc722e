//! Several runs in a word: the median, how far they were apart, and how many times another's it is.

/// The one in the middle, or between the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len().is_multiple_of(2) {
        Some(f64::midpoint(sorted[middle - 1], upper))
    } else {
        Some(upper)
    }
}

/// The median, with the least and the greatest where they differ.
pub(crate) fn cell(values: &[f64]) -> String {
    let Some(median) = median(values) else {
        return NOTHING.to_owned();
    };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (median, least, greatest) = (number(median), number(least), number(greatest));
    if least == greatest {
        format!("**{median}**")
    } else {
        format!("**{median}** ({least}–{greatest})")
    }
}

/// How many times theirs ours is, by the medians.
pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> String {
    match (median(ours), median(theirs)) {
        (Some(ours), Some(theirs)) if theirs > 0.0 => number(ours / theirs),
        _ => NOTHING.to_owned(),
    }
}

const NOTHING: &str = "–";

/// Three digits that count, thousands apart: `0.123`, `12.3`, `123`, `12,345`. What is less than a thousandth has four
/// decimals. Nothing here is negative.
pub(crate) fn number(value: f64) -> String {
    // The bounds are where rounding reaches the next.
    let decimals = match value {
        0.0 => return "0".to_owned(),
        value if value < 0.000_95 => 4,
        value if value < 0.999_5 => 3,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    if decimals > 0 {
        return text;
    }
    let mut grouped = String::new();
    for (at, digit) in text.char_indices() {
        if at > 0 && (text.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count, thousands apart.
pub(crate) fn count(value: u64) -> String {
    if value < 100 {
        return value.to_string();
    }
    number(value as f64)
}
