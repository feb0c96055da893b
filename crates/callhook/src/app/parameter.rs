//! Parameters as texts, read one by one: numbers, ids, times, words. A refusal names the parameter.

use super::document;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Invalid, Timestamp};
use std::str::FromStr;
use std::time::Duration;
use store::list::RowId;

/// A whole number within bounds.
pub fn number(field: &str, value: Option<&str>, minimum: u64, maximum: u64) -> Result<Option<u64>, Invalid> {
    let read = |text: &str| {
        // `u64` would also read `+5`.
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|number| digits && (minimum..=maximum).contains(number)).ok_or_else(|| {
            Invalid::field(field, format!("must be a whole number from {minimum} to {maximum}"))
        })
    };
    value.map(read).transpose()
}

/// Behind which row a page begins: the text that [`cursor`] made; `None` where it is another.
pub fn read_cursor<I: From<RowId>>(text: &str) -> Option<I> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    RowId::try_from(bytes).ok().map(I::from)
}

/// The row behind which a page begins, as a text.
#[must_use]
pub fn cursor(row: RowId) -> String {
    URL_SAFE_NO_PAD.encode(row)
}

/// A value that reads itself: an id, a time.
pub fn parsed<T: FromStr<Err = Invalid>>(field: &str, value: Option<&str>) -> Result<Option<T>, Invalid> {
    value.map(|text| text.parse::<T>().map_err(|refused| refused.within(field))).transpose()
}

/// One of a few words.
pub fn word<T>(
    field: &str,
    value: Option<&str>,
    from_word: impl Fn(&str) -> Option<T>,
    words: &[&str],
) -> Result<Option<T>, Invalid> {
    let read = |text| document::word(text, &from_word, words).map_err(|refused| refused.within(field));
    value.map(read).transpose()
}

/// `true` or `false`.
pub fn flag(field: &str, value: Option<&str>) -> Result<Option<bool>, Invalid> {
    word(field, value, |word| word.parse().ok(), &["true", "false"])
}

/// The end of a span of time, not included. A date without a time includes that day.
pub fn end_time(field: &str, value: Option<&str>) -> Result<Option<Timestamp>, Invalid> {
    const DATE_CHARS: usize = "2026-03-30".len();
    let time = parsed::<Timestamp>(field, value)?;
    let is_date = value.is_some_and(|text| text.len() == DATE_CHARS);
    Ok(time.map(|time| if is_date { time.after(Duration::from_hours(24)) } else { time }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_at_the_end_includes_its_day() {
        let end = |text| end_time("end_date", Some(text)).unwrap().unwrap().to_string();
        assert_eq!(end("2026-03-30"), "2026-03-31T00:00:00Z");
        assert_eq!(end("2026-03-30T10:00:00Z"), "2026-03-30T10:00:00Z");
        assert_eq!(end_time("end_date", Some("30.3.2026")).unwrap_err().field, "end_date");
    }
}
