//! A refusal of the settings' form: what the page calls the field, what is wrong with it, and where that is said.

use crate::app::call_flow::OVERTAKEN;
use crate::dashboard::error::spoken;
use domain::Invalid;

/// What the API calls the fields below which a refusal is said.
const PLACES: [&str; 5] = [
    "name",
    "source",
    "post_call_webhook.url",
    "post_call_webhook.headers",
    "post_call_webhook.retry_delays_seconds",
];

/// What was refused.
pub struct Refusal {
    field: String,
    /// What the page calls the field.
    pub label: String,
    /// What is wrong with it, in whole sentences.
    pub words: String,
    /// Whether it was a test that was refused: then that is said where a test's result stands.
    pub is_of_test: bool,
}

impl Refusal {
    /// Refused by a rule of the API.
    pub fn of(refused: Invalid, is_of_test: bool) -> Self {
        let label = label(&refused.field);
        let words = spoken(&label, &refused);
        Self { field: refused.field, label, words, is_of_test }
    }

    /// Whether it is about this field, or a part of it.
    pub fn is_about(&self, field: &str) -> bool {
        let behind = self.field.strip_prefix(field);
        behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(['.', '[']))
    }

    /// Whether it is about the header of this name.
    pub fn is_about_header(&self, name: &str) -> bool {
        self.field.strip_prefix("post_call_webhook.headers.") == Some(name)
    }

    /// Whether there is a field below which it is said.
    pub fn has_place(&self) -> bool {
        PLACES.iter().any(|place| self.is_about(place))
    }

    /// What the fields it is about say of themselves; who saves gets the first of them to type in.
    pub const fn attributes(&self) -> &'static str {
        if self.is_of_test {
            r#" aria-invalid="true" aria-describedby="wrong""#
        } else {
            r#" aria-invalid="true" aria-describedby="wrong" autofocus"#
        }
    }
}

/// What a field of the API is called on the page.
fn label(field: &str) -> String {
    let field = field.strip_prefix("post_call_webhook.").unwrap_or(field);
    if let Some(name) = field.strip_prefix("headers.") {
        return format!("The header {name}");
    }
    let label = match field {
        "name" => "Name",
        "source" => "Traffic source",
        "url" => "Webhook URL",
        "wait_for_ai" => "Wait for AI processing",
        field if field.starts_with("retry_delays_seconds") => "Waits between attempts",
        "headers" => "The list of custom headers",
        "" | OVERTAKEN => "The settings",
        _ => "Settings:",
    };
    label.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_knows_its_field_by_whichever_part_of_it_is_wrong() {
        let refusal = |field: &str| Refusal::of(Invalid::field(field, "is wrong"), false);
        let check = |field: &str, place: Option<&str>| {
            let refusal = refusal(field);
            assert_eq!(PLACES.into_iter().find(|place| refusal.is_about(place)), place, "{field}");
            assert_eq!(refusal.has_place(), place.is_some(), "{field}");
        };
        check("name", Some("name"));
        check("post_call_webhook.retry_delays_seconds[1]", Some("post_call_webhook.retry_delays_seconds"));
        check("post_call_webhook.headers.X-Token", Some("post_call_webhook.headers"));
        check("post_call_webhook.urls", None);
        check("", None);
        let header = refusal("post_call_webhook.headers.X-Token");
        assert!(header.is_about_header("X-Token") && !header.is_about_header("X"));
        assert_eq!(header.words, "The header X-Token is wrong.");
    }
}
