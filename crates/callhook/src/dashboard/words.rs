//! The product's own words on a page: what stands between backticks in them is drawn as code, and a count is one that the script writes
//! in the reader's language.

use askama::Template;

#[derive(Template)]
#[template(
    source = "{% for (text, code) in pairs %}{{ text }}<code>{{ code }}</code>{% endfor %}{{ rest }}",
    ext = "html"
)]
struct Words<'a> {
    /// Texts, and the code behind each.
    pairs: Vec<(&'a str, &'a str)>,
    rest: &'a str,
}

/// The words as HTML, of which nothing but that code becomes an element.
pub fn drawn(words: &str) -> String {
    let (mut pairs, mut rest) = (Vec::new(), words);
    while let Some((text, code, behind)) = next_code(rest) {
        pairs.push((text, code));
        rest = behind;
    }
    // Cannot fail: texts are written into a text.
    Words { pairs, rest }.render().unwrap_or_default()
}

fn next_code(words: &str) -> Option<(&str, &str, &str)> {
    let (text, rest) = words.split_once('`')?;
    let (code, behind) = rest.split_once('`')?;
    Some((text, code, behind))
}

/// A count as HTML.
pub fn count(count: u64) -> String {
    format!("<data value=\"{count}\">{count}</data>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code_and_the_rest_is_text() {
        let check = |words: &str, expected: &str| assert_eq!(drawn(words), expected);
        check(
            "Start it with `--allow-network 10.0.3.0/24`.",
            "Start it with <code>--allow-network 10.0.3.0/24</code>.",
        );
        check("<b> `<i>` & `a`", "&#60;b&#62; <code>&#60;i&#62;</code> &#38; <code>a</code>");
        check("The header X`Y is masked", "The header X`Y is masked");
        check("`a` and X`Y", "<code>a</code> and X`Y");
        check("", "");
    }
}
