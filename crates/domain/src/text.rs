//! Text as it comes in: names are refused when they could break a line, free text is kept and only mended.

use crate::Invalid;

/// Checks a name, an id or any other text of one line.
///
/// Refuses an empty text, one longer than `chars_max` characters, control characters and the line and
/// paragraph separators; white space around it is not part of it.
pub fn line(text: &str, chars_max: usize) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Invalid::value("must not be empty"));
    }
    if text.chars().count() > chars_max {
        return Err(Invalid::value(format!("is too long: at most {chars_max} characters")));
    }
    if text.chars().any(is_line_breaking) {
        return Err(Invalid::value("must not contain control characters"));
    }
    Ok(text.to_owned())
}

/// Mends a free text (a transcript, a summary): U+0000, which no store takes, becomes U+FFFD.
///
/// Lone surrogates were replaced by [`mend_surrogates`] before the text was a text.
pub fn free(text: String, bytes_max: usize) -> Result<String, Invalid> {
    if text.len() > bytes_max {
        return Err(Invalid::value(format!("is too long: at most {bytes_max} bytes")));
    }
    Ok(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
}

/// Replaces escaped lone surrogates (`\ud83d` without its other half) in a JSON text by `\ufffd`.
///
/// JSON allows them (RFC 8259, section 8.2), UTF-8 does not, and a transcript cut in the middle of an emoji has one.
/// Returns `None` where there is nothing to replace. Only the length-keeping escape is rewritten, so that a
/// text which is not JSON stays exactly as wrong as it was.
#[must_use]
pub fn mend_surrogates(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while at + 1 < json.len() {
        if json[at] != b'\\' {
            at += 1;
            continue;
        }
        match escaped_unit(&json[at..]) {
            Some(0xd800..=0xdbff) if matches!(escaped_unit(&json[at + 6..]), Some(0xdc00..=0xdfff)) => {
                at += 12;
            }
            Some(0xd800..=0xdfff) => {
                mended.get_or_insert_with(|| json.to_vec())[at + 2..at + 6].copy_from_slice(b"fffd");
                at += 6;
            }
            _ => at += 2,
        }
    }
    mended
}

/// The UTF-16 unit of a `\uXXXX` escape at the start of `json`.
fn escaped_unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_line_breaking(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn mended(json: &str) -> String {
        String::from_utf8(mend_surrogates(json.as_bytes()).unwrap_or_else(|| json.into())).unwrap()
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_kept() {
        for (input, expected) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\uD83Dx\ud83d\ud83d\ude00""#, r#""\ufffdx\ufffd\ud83d\ude00""#),
            // An escaped backslash before a `u` is no escape of a surrogate.
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\ud8"#, r#""\ud8"#),
            ("\\", "\\"),
        ] {
            assert_eq!(mended(input), expected);
        }
    }

    #[test]
    fn a_line_has_no_control_characters_and_a_bound() {
        assert_eq!(line("  Google Ads ", 20).unwrap(), "Google Ads");
        for wrong in ["", "   ", "a\nb", "a\u{7f}b", "a\u{85}b", "a\u{2028}b", "a\0b", "123456"] {
            assert!(line(wrong, 5).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn free_text_keeps_control_characters_but_not_nul() {
        assert_eq!(free("a\u{1}\n\0b".into(), 10).unwrap(), "a\u{1}\n\u{fffd}b");
        assert!(free("12345".into(), 4).is_err());
    }
}
