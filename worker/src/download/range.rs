//! Which part of a payload a request asks for (RFC 9110, section 14).

/// What a request gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// The bytes from the first position to before the second.
    Some(u64, u64),
    /// Nothing: it asks for what is not there.
    Unsatisfiable,
}

/// The part that the value of `Range` names, of a payload of that length. Other units, several ranges and what is no range at all are passed
/// over, as a server may: the answer is then the whole.
pub(super) fn part(range: &str, length: u64) -> Part {
    let Some((unit, set)) = range.split_once('=') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    let Some((first, last)) = set.trim_matches([' ', '\t']).split_once('-') else { return Part::Whole };
    match (position(first), position(last)) {
        // The last so many.
        _ if first.is_empty() => match position(last) {
            Some(0) => Part::Unsatisfiable,
            Some(_) if length == 0 => Part::Unsatisfiable,
            Some(count) => Part::Some(length.saturating_sub(count), length),
            None => Part::Whole,
        },
        (Some(first), _) if last.is_empty() => from(first, length, length),
        (Some(first), Some(last)) if first <= last => from(first, last.saturating_add(1), length),
        _ => Part::Whole,
    }
}

fn from(first: u64, end: u64, length: u64) -> Part {
    if first < length { Part::Some(first, end.min(length)) } else { Part::Unsatisfiable }
}

/// A position: digits and nothing else. One beyond all numbers is beyond every payload, too.
fn position(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_everything_else_is_the_whole() {
        for (range, expected) in [
            ("bytes=0-0", Part::Some(0, 1)),
            ("bytes=0-9", Part::Some(0, 10)),
            ("bytes=3-5", Part::Some(3, 6)),
            ("bytes=3-", Part::Some(3, 10)),
            ("bytes=9-", Part::Some(9, 10)),
            ("bytes=3-99", Part::Some(3, 10)),
            ("bytes=3-99999999999999999999999", Part::Some(3, 10)),
            ("bytes=-4", Part::Some(6, 10)),
            ("bytes=-99", Part::Some(0, 10)),
            ("Bytes= 3-5 ", Part::Some(3, 6)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-11", Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-3", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=1--2", Part::Whole),
            ("bytes 1-2", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!((part("bytes=0-", 0), part("bytes=-1", 0)), (Part::Unsatisfiable, Part::Unsatisfiable));
    }
}
