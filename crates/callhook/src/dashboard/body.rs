//! A webhook's body as a person reads it, as far as a page has room for it.

use super::short;

/// Bytes of one line of it, which has one field.
const LINE_BYTES_MAX: usize = 400;
/// Lines of it: more than a payload has fields.
const LINES_MAX: usize = 60;

/// A body on a page.
pub struct Body {
    /// A field on each line.
    pub text: String,
    /// How large all of it is, where some of it is cut here.
    pub whole: Option<String>,
}

impl Body {
    /// The body in JSON.
    pub fn of(body: &[u8]) -> Self {
        let pretty = pretty(body);
        let lines: Vec<_> =
            pretty.lines().take(LINES_MAX).map(|line| short::within(line, LINE_BYTES_MAX)).collect();
        let text = lines.join("\n");
        let whole = (text != pretty).then(|| short::size(body.len()));
        Self { text, whole }
    }
}

fn pretty(body: &[u8]) -> String {
    let mut pretty = Vec::with_capacity(body.len() * 2);
    let mut reader = serde_json::Deserializer::from_slice(body);
    // Field by field, which keeps their order. Cannot fail: callhook itself has written the body as JSON.
    let _ = serde_transcode::transcode(&mut reader, &mut serde_json::Serializer::pretty(&mut pretty));
    String::from_utf8(pretty).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_line_by_line_and_what_is_long_is_cut_there() {
        let short = Body::of(br#"{"event":"call.completed","b":null}"#);
        assert_eq!(short.text, "{\n  \"event\": \"call.completed\",\n  \"b\": null\n}");
        assert!(short.whole.is_none());
        let by_three = format!(r#"{{"a":"{}"}}"#, "x".repeat(394));
        assert!(
            Body::of(by_three.as_bytes()).whole.is_some(),
            "what is cut off is as long as the sign of that"
        );
        let long =
            Body::of(format!(r#"{{"transcription":"{}","summary":"x"}}"#, "word ".repeat(20_000)).as_bytes());
        assert_eq!(long.whole.as_deref(), Some("98 KB"));
        assert!(long.text.len() < 500 && long.text.ends_with("…\n  \"summary\": \"x\"\n}"), "{}", long.text);
    }
}
