//! What sending again came to: carried by an address, and in words.

use crate::app::redelivery::Redelivery;
use store::delivery::NotRedelivered;

/// The word of an address after those chosen, and after all that match.
const CHOSEN: &str = "redelivered";
const MATCHING: &str = "redelivering";
const NONE: &str = "none-redelivered";

/// The word of an address, with all counts: `redelivered.3.0.1.0.0.0`.
pub fn word(came_to: &Redelivery, is_chosen: bool) -> String {
    let Redelivery { sent, not } = came_to;
    let NotRedelivered { tests, pending, switched_off, without_payload, gone } = not;
    let word = match (sent, is_chosen) {
        (0, _) => NONE,
        (_, true) => CHOSEN,
        (_, false) => MATCHING,
    };
    format!("{word}.{sent}.{tests}.{pending}.{switched_off}.{without_payload}.{gone}")
}

/// What such a word says.
pub fn said(word: &str) -> Option<String> {
    let (word, counts) = word.split_once('.')?;
    let counts: Vec<u64> = counts.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [sent, tests, pending, switched_off, without_payload, gone] = counts[..] else { return None };
    let why = why_not(&NotRedelivered { tests, pending, switched_off, without_payload, gone });
    let are = if sent == 1 { "is" } else { "are" };
    Some(match word {
        NONE if why.is_empty() => "None is sent again: none matches any more.".to_owned(),
        NONE => format!("None is sent again: {why}."),
        CHOSEN if why.is_empty() => format!("{sent} {are} sent again."),
        CHOSEN => format!("{sent} {are} sent again. Left out: {why}."),
        MATCHING if why.is_empty() => {
            format!("{sent} {are} sent again, the oldest first; the list has them whatever their state.")
        }
        MATCHING => format!(
            "{sent} {are} sent again, the oldest first; the list has them whatever their state. Left out: {why}."
        ),
        _ => return None,
    })
}

/// How many are left out for which reason: `2 on the way already, 1 test`.
pub fn why_not(not: &NotRedelivered) -> String {
    let test = if not.tests == 1 { "test" } else { "tests" };
    let reasons = [
        (not.pending, "on the way already"),
        (not.tests, test),
        (not.switched_off, "with a webhook that is switched off or deleted"),
        (not.without_payload, "with a payload that is past its retention"),
        (not.gone, "not there any more"),
    ];
    let reasons = reasons.into_iter().filter(|(count, _)| *count > 0);
    reasons.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_came_to_is_said_with_each_reason() {
        let say = |sent, not, is_chosen| said(&word(&Redelivery { sent, not }, is_chosen)).unwrap();
        let all = NotRedelivered::default();
        let some = NotRedelivered { tests: 1, pending: 2, ..all };
        assert_eq!(say(3, all, true), "3 are sent again.");
        assert_eq!(say(1, some, true), "1 is sent again. Left out: 2 on the way already, 1 test.");
        assert_eq!(
            say(0, NotRedelivered { switched_off: 2, ..all }, false),
            "None is sent again: 2 with a webhook that is switched off or deleted."
        );
        assert!(
            say(5, some, false).ends_with("whatever their state. Left out: 2 on the way already, 1 test.")
        );
        for nonsense in ["redelivered", "redelivered.1", "redelivered.x.0.0.0.0.0", "saved.1.0.0.0.0.0"] {
            assert_eq!(said(nonsense), None, "{nonsense}");
        }
    }
}
