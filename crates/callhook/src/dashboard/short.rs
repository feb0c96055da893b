//! Texts as short as a page has room for. What others wrote may be long, and cutting it by the style sheet alone saves no byte: here it is
//! cut where a character ends as people see one, and the item's own page or an address of its own has all of it.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation as _;

/// Characters of a text in a list: more than a column is wide.
const LINE_CHARACTERS_MAX: usize = 60;
/// Bytes of it.
const LINE_BYTES_MAX: usize = 120;
/// Bytes of the beginning of a long text that a page is there for.
const BEGINNING_BYTES_MAX: usize = 5 * 1_024;
/// Bytes of the beginning of one that is meant to be a paragraph.
const PARAGRAPH_BYTES_MAX: usize = 1_536;
/// Characters of a line that an item's own page shows whole, such as an address.
const LONG_LINE_CHARACTERS_MAX: usize = 300;
/// Bytes of it.
const LONG_LINE_BYTES_MAX: usize = 600;
/// Bytes that a character takes where HTML has another meaning for it: `&#34;`.
const ESCAPED_BYTES: usize = 5;

/// A text of one line, as a list has it.
pub fn line(text: &str) -> Cow<'_, str> {
    cut(text, LINE_CHARACTERS_MAX, LINE_BYTES_MAX)
}

/// The same, of at most so many bytes.
pub fn within(text: &str, bytes_max: usize) -> Cow<'_, str> {
    cut(text, usize::MAX, bytes_max)
}

/// The beginning of a long text.
pub struct Beginning<'a> {
    /// As far as there is room for it.
    pub text: &'a str,
    /// Bytes of all of it, where this is not all.
    pub whole: Option<String>,
}

/// The beginning of a long text.
pub fn beginning(text: &str) -> Beginning<'_> {
    Beginning::of(text, usize::MAX, BEGINNING_BYTES_MAX)
}

/// The beginning of a paragraph.
pub fn paragraph(text: &str) -> Beginning<'_> {
    Beginning::of(text, usize::MAX, PARAGRAPH_BYTES_MAX)
}

/// The beginning of a line that may be long.
pub fn long_line(text: &str) -> Beginning<'_> {
    Beginning::of(text, LONG_LINE_CHARACTERS_MAX, LONG_LINE_BYTES_MAX)
}

impl<'a> Beginning<'a> {
    fn of(text: &'a str, characters_max: usize, bytes_max: usize) -> Self {
        let beginning = fitting(text, characters_max, bytes_max);
        Self { text: beginning, whole: (beginning.len() < text.len()).then(|| size(text.len())) }
    }
}

/// How large a text is, as people say it.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KB", bytes.div_ceil(1_024)),
        _ => format!("{}.{} MB", bytes / 1_048_576, bytes % 1_048_576 * 10 / 1_048_576),
    }
}

/// All of a text, which nothing takes for a page.
pub fn whole(text: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn cut(text: &str, characters_max: usize, bytes_max: usize) -> Cow<'_, str> {
    let fitting = fitting(text, characters_max, bytes_max);
    if fitting.len() == text.len() { text.into() } else { format!("{}…", fitting.trim_end()).into() }
}

/// As much of the text as fits.
fn fitting(text: &str, characters_max: usize, bytes_max: usize) -> &str {
    let by_character = text.grapheme_indices(true).map(|(at, character)| (at, drawn_bytes(character)));
    let fitting = up_to(text, by_character.take(characters_max.saturating_add(1)), characters_max, bytes_max);
    if fitting.is_empty() {
        // One character with hundreds of marks upon it: some of them will do.
        let by_mark = text.char_indices().map(|(at, mark)| (at, drawn(mark)));
        return up_to(text, by_mark, usize::MAX, bytes_max);
    }
    fitting
}

fn up_to(
    text: &str,
    parts: impl Iterator<Item = (usize, usize)>,
    parts_max: usize,
    bytes_max: usize,
) -> &str {
    let mut bytes = 0;
    for (count, (at, part_bytes)) in parts.enumerate() {
        bytes += part_bytes;
        if count == parts_max || bytes > bytes_max {
            return &text[..at];
        }
    }
    text
}

/// Bytes that a text takes on a page.
pub fn drawn_bytes(text: &str) -> usize {
    text.chars().map(drawn).sum()
}

const fn drawn(mark: char) -> usize {
    match mark {
        '"' | '\'' | '&' | '<' | '>' => ESCAPED_BYTES,
        _ => mark.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use askama::Template as _;

    #[derive(askama::Template)]
    #[template(source = "{{ text }}", ext = "html")]
    struct Drawn<'a> {
        text: &'a str,
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(line(text), expected);
        let page = Drawn { text: &line(text) }.render().unwrap();
        assert!(page.len() <= LINE_BYTES_MAX + "…".len(), "{} bytes", page.len());
    }

    #[test]
    fn a_list_has_the_beginning_of_a_long_text() {
        check("Google Ads", "Google Ads");
        check(&"a".repeat(60), &"a".repeat(60));
        check(&"a".repeat(61), &format!("{}…", "a".repeat(60)));
        check(&format!("{} {}", "a".repeat(59), "b"), &format!("{}…", "a".repeat(59)));
        check("", "");
    }

    #[test]
    fn a_text_is_cut_where_a_character_ends_as_people_see_one() {
        // A family of 25 bytes, a flag of two letters, a letter with its accent behind it.
        for (character, fit) in [("👨‍👩‍👧‍👦", 4), ("🇨🇭", 15), ("e\u{301}", 40)] {
            check(&character.repeat(200), &format!("{}…", character.repeat(fit)));
        }
        let marks = format!("e{}", "\u{301}".repeat(500));
        check(&marks, &format!("{}…", &marks[..119]));
    }

    #[test]
    fn what_html_writes_in_more_bytes_counts_as_those() {
        check(&"<".repeat(200), &format!("{}…", "<".repeat(24)));
    }

    #[test]
    fn a_long_text_says_how_long_it_is() {
        let long = "ab ".repeat(30_000);
        let shown = beginning(&long);
        assert_eq!((shown.text.len(), shown.whole.as_deref()), (BEGINNING_BYTES_MAX, Some("88 KB")));
        assert!(beginning("short").whole.is_none() && long_line(&"a".repeat(300)).whole.is_none());
        let address = long_line(&long);
        assert_eq!((address.text.len(), address.whole.as_deref()), (300, Some("88 KB")));
        assert_eq!([size(7), size(1_024), size(1_600_000)], ["7 bytes", "1 KB", "1.5 MB"]);
    }
}
