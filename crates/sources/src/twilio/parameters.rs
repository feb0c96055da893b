//! The parameters of a request: a form body, or the query of a GET, decoded as they were signed.

/// Names and values in the order of the request, percent-decoded. Repeated names and blank values are kept, because
/// the signature covers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    form: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a request: its raw query, and its body where that is a form (empty for a GET).
    #[must_use]
    pub fn read(query: &str, form_body: &[u8]) -> Self {
        Self { form: pairs(form_body), query: pairs(query.as_bytes()) }
    }

    /// What the body carried: the part that is signed beside the URL.
    #[must_use]
    pub fn form(&self) -> &[(String, String)] {
        &self.form
    }

    /// The value of a parameter; a blank one counts as missing. The body comes before the query, in which a `POST` carries
    /// only what the account's owner wrote into the address.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let find = |pairs| first(pairs, name);
        find(&self.form).or_else(|| find(&self.query))
    }

    /// Whether a parameter is there at all, blank or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.form.iter().chain(&self.query).any(|(key, _)| key == name)
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, value)| key == name && !value.trim().is_empty()).map(|(_, value)| value.as_str())
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_repetitions_are_kept_for_the_signature() {
        let read = Parameters::read("q=1", b"a=1&a=&b&a=%2B1+2&c=%C3%A9");
        let form: Vec<_> = read.form().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(form, [("a", "1"), ("a", ""), ("b", ""), ("a", "+1 2"), ("c", "é")]);
    }

    #[test]
    fn a_blank_value_counts_as_missing_and_the_body_comes_first() {
        let read = Parameters::read("From=query&Only=query&Blank=query", b"From=body&Blank=+");
        assert_eq!(read.get("From"), Some("body"));
        assert_eq!(read.get("Only"), Some("query"));
        assert_eq!(read.get("Blank"), Some("query"));
        assert_eq!(read.get("from"), None);
        let blank = Parameters::read("", b"From=");
        assert_eq!((blank.get("From"), blank.has("From"), blank.has("To")), (None, true, false));
    }
}
