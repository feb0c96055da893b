//! What of a call can be corrected: filled with what is stored, or with what was typed, and read into the change that the API takes as well.

use crate::dashboard::error::spoken;
use crate::dashboard::form::Form;
use domain::Invalid;
use domain::call::Call;
use domain::limits::CENTS_MAX;
use serde_json::{Value, json};

/// The fields, and what the page calls them; those of the visitor's journey last.
const FIELDS: [(&str, &str); 13] = [
    ("source", "Traffic source"),
    ("value", "Value"),
    ("cost", "Cost"),
    ("landing_page_url", "Landing page"),
    ("referrer_url", "Referrer"),
    ("utm_source", "UTM source"),
    ("utm_medium", "UTM medium"),
    ("utm_campaign", "UTM campaign"),
    ("utm_term", "UTM term"),
    ("utm_content", "UTM content"),
    ("gclid", "Google click id"),
    ("fbclid", "Meta click id"),
    ("msclkid", "Microsoft click id"),
];
/// Fields that come before those of the journey.
const FIRST: usize = 3;

/// What the page shows.
pub struct CallForm {
    fields: Vec<Field>,
    wrong: Option<(&'static str, String)>,
}

/// One line of it.
pub struct Field {
    pub name: &'static str,
    pub label: &'static str,
    pub value: String,
    /// What the page was drawn with: what was not changed there may have been changed elsewhere meanwhile.
    pub before: String,
}

impl CallForm {
    /// What is stored.
    pub fn of(call: &Call) -> Self {
        let stored = |name| match name {
            "value" => amount(call.value_cents),
            "cost" => amount(call.cost_cents),
            name => call.attribution.value(name).unwrap_or_default().to_owned(),
        };
        let field = |(name, label)| {
            let value: String = stored(name);
            Field { name, label, before: value.clone(), value }
        };
        Self { fields: FIELDS.into_iter().map(field).collect(), wrong: None }
    }

    /// What was typed.
    pub fn read(form: &Form) -> Self {
        let field = |(name, label)| {
            let before = form.text(&format!("{name}_before")).to_owned();
            Field { name, label, value: form.text(name).to_owned(), before }
        };
        Self { fields: FIELDS.into_iter().map(field).collect(), wrong: None }
    }

    /// What was changed, as a merge patch.
    pub fn change(&self) -> Result<Value, Invalid> {
        self.changed(|field| &field.value)
    }

    /// What the page was drawn with of what was changed, likewise.
    pub fn seen(&self) -> Result<Value, Invalid> {
        self.changed(|field| &field.before)
    }

    fn changed(&self, text: impl Fn(&Field) -> &str) -> Result<Value, Invalid> {
        let (mut patch, mut attribution) = (json!({}), json!({}));
        for field in self.fields.iter().filter(|field| field.value != field.before) {
            let (name, value) = (field.name, text(field));
            match name {
                "value" | "cost" => {
                    let cents = cents(value).map_err(|refused| refused.within(name))?;
                    patch[format!("{name}_cents")] = json!(cents);
                }
                name => attribution[name] = json!(Some(value.trim()).filter(|value| !value.is_empty())),
            }
        }
        patch["attribution"] = attribution;
        Ok(patch)
    }

    /// The same, with what is wrong with it.
    pub fn refused(mut self, refused: &Invalid) -> Self {
        let field = refused.field.trim_start_matches("attribution.").trim_end_matches("_cents");
        let (name, label) = FIELDS.into_iter().find(|(name, _)| *name == field).unwrap_or_default();
        self.wrong = Some((name, spoken(label, refused)));
        self
    }

    /// The same beside what is stored: where the refused field has got another value meanwhile, that is named, and is what saving again
    /// then changes.
    pub fn beside(mut self, call: &Call) -> Self {
        let stored = Self::of(call);
        let Some((wrong, words)) = &mut self.wrong else { return self };
        let both = self.fields.iter_mut().zip(stored.fields).find(|(typed, _)| typed.name == *wrong);
        if let Some((typed, stored)) = both.filter(|(typed, stored)| typed.before != stored.before) {
            let now = if stored.value.is_empty() { "empty" } else { &stored.value };
            words.push_str(" It is ");
            words.push_str(now);
            words.push_str(" now.");
            typed.before = stored.before;
        }
        self
    }

    /// What is worth most.
    pub fn first(&self) -> &[Field] {
        &self.fields[..FIRST]
    }

    /// How the visitor came.
    pub fn journey(&self) -> &[Field] {
        &self.fields[FIRST..]
    }

    /// Whether something of it was typed.
    pub fn is_journey_changed(&self) -> bool {
        self.journey().iter().any(|field| field.value != field.before)
    }

    /// What is wrong with a field; without a name, with no field in particular.
    pub fn wrong(&self, name: &str) -> Option<&str> {
        self.wrong.as_ref().filter(|(wrong, _)| *wrong == name).map(|(_, words)| words.as_str())
    }

    /// Whether it was refused.
    pub const fn is_refused(&self) -> bool {
        self.wrong.is_some()
    }
}

/// Cents as an amount: `50.00`.
fn amount(cents: Option<i64>) -> String {
    let Some(cents) = cents else { return String::new() };
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

/// The cents of an amount: `50`, `50.5`, `-0,75`.
fn cents(text: &str) -> Result<Option<i64>, Invalid> {
    let text = text.trim().replace(',', ".");
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Invalid::value("is an amount with at most two decimals, such as 50.00");
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || part.len() > 2 || !is_number(whole) || !is_number(part) {
        return Err(wrong());
    }
    let cents = format!("{whole}{part:0<2}").parse::<i64>().ok().filter(|cents| *cents <= CENTS_MAX);
    let most = CENTS_MAX / 100;
    let cents = cents.ok_or_else(|| Invalid::value(format!("is an amount from -{most} to {most}")))?;
    Ok(Some(sign * cents))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::attribution::Attribution;

    #[test]
    fn amounts_go_to_cents_and_back() {
        let check = |text, expected| assert_eq!(cents(text).ok(), expected, "{text}");
        check("50", Some(Some(5_000)));
        check("50.5", Some(Some(5_050)));
        check(" -0,75 ", Some(Some(-75)));
        check("", Some(None));
        for wrong in ["x", "1.234", "1.2.3", ".5", "1e3", "--1", "9999999999999999999"] {
            check(wrong, None);
        }
        check("-1000000000", Some(Some(-CENTS_MAX)));
        let refused = cents("1000000000.01").unwrap_err();
        assert_eq!(refused.reason, "is an amount from -1000000000 to 1000000000", "in what is typed");
        assert_eq!([Some(5_000), Some(-75), None].map(amount), ["50.00", "-0.75", ""]);
    }

    #[test]
    fn all_that_the_api_corrects_has_a_field() {
        for field in Attribution::FIELDS {
            assert!(FIELDS.iter().any(|(name, _)| name == field), "{field}");
        }
    }

    #[test]
    fn only_what_was_changed_is_corrected_and_what_was_emptied_is_not_known() {
        let typed = CallForm::read(&Form::read(
            b"source=bing&source_before=google&value=5&value_before=&cost=&cost_before=1.00&gclid=x&gclid_before=x&utm_term=&utm_term_before=a",
        ));
        let change = typed.change().unwrap();
        assert_eq!(
            change,
            json!({"value_cents": 500, "cost_cents": null, "attribution": {"source": "bing", "utm_term": null}})
        );
    }

    #[test]
    fn a_refusal_stands_beside_its_field() {
        let typed = || CallForm::read(&Form::read(b"cost=much&gclid=x&gclid_before=x"));
        let refused = typed().change().unwrap_err();
        let shown = typed().refused(&refused);
        assert!(shown.wrong("cost").unwrap().starts_with("Cost is an amount") && !shown.is_journey_changed());
        let shown = typed().refused(&Invalid::field("attribution.gclid", "is too long"));
        assert_eq!(shown.wrong("gclid"), Some("Google click id is too long."));
        let shown = typed().refused(&Invalid::value("the call is being erased"));
        assert_eq!(shown.wrong(""), Some("The call is being erased."));
    }
}
