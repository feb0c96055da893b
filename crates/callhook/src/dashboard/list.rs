//! Lists: what the address asks for, page by page, with filters that stand in it and can be shared.

use super::error::PageError;
use super::flow_choice;
use super::moment::Clock;
use crate::app::parameter;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::{Invalid, Timestamp};
use std::convert::Infallible;
use std::str::FromStr;
use store::list::RowId;

/// What narrows a list: a parameter, and what the page calls it.
pub type Filter = (&'static str, &'static str);

/// A refused filter under the name that its page has for it.
#[must_use]
pub fn labelled(filters: &[Filter], refused: Invalid) -> Invalid {
    match filters.iter().find(|(name, _)| *name == refused.field) {
        Some((_, label)) => Invalid::value(format!("{label} {}", refused.reason)),
        None => refused,
    }
}

/// In which zone a form's fields were drawn.
const ZONE: &str = "zone";
/// What an address of a list has beside its filters.
const BESIDE_FILTERS: [&str; 4] = ["cursor", "done", ZONE, flow_choice::NAME];
/// Characters of a name that is not known: enough to see which it is.
const NAME_CHARS_SHOWN: usize = 40;

/// The parameters of an address. What a form leaves empty counts as not given.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

/// The ways from a page of a list to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pager {
    /// Whether the page is the first.
    pub is_first: bool,
    /// The address of the first page, from another one.
    pub newest: Option<String>,
    /// The address of the page that follows.
    pub older: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Reads `a=1&b=2`.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let parameters = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self(parameters.filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    /// An address's parameters.
    #[must_use]
    pub fn of(parameters: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(parameters.into_iter().map(|(name, text)| (name.to_owned(), text)).collect())
    }

    /// The parameter's text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// Whether a list is to be searched in: there is more than one page of it, or only some are shown.
    #[must_use]
    pub fn is_searched(&self, pager: &Pager) -> bool {
        self.get("search").is_some() || !pager.is_first || pager.older.is_some()
    }

    /// Whether the parameter has this word.
    #[must_use]
    pub fn is(&self, name: &str, word: &(impl ToString + ?Sized)) -> bool {
        self.get(name).is_some_and(|chosen| chosen == word.to_string())
    }

    /// The same, for a field that shows it again.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The same, owned.
    #[must_use]
    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A time: as an address of the API has it, or as a form's field gives it, on the person's clock.
    #[must_use]
    pub fn time(&self, name: &str, clock: &Clock) -> Option<String> {
        let text = self.get(name)?;
        Some(clock.read_field(text).map_or_else(|| text.to_owned(), |at| at.to_string()))
    }

    /// The address of the list at `path` with each time in RFC 3339, where a form has given it: it means the same wherever it is followed.
    /// A form says in which zone its fields were drawn, which is another one than the person's before the script has told that.
    #[must_use]
    pub fn settled(&self, path: &str, times: &[&str], clock: &Clock) -> Option<String> {
        let drawn = self.get(ZONE).map_or_else(|| clock.clone(), |zone| clock.within(zone));
        let read = |(name, text): &(String, String)| {
            Some(text.trim())
                .filter(|_| times.contains(&name.as_str()))
                .and_then(|text| drawn.read_field(text))
        };
        if self.get(ZONE).is_none() && !self.0.iter().any(|pair| read(pair).is_some()) {
            return None;
        }
        let settled = self.0.iter().filter(|(name, _)| name != ZONE).map(|pair| {
            let text = read(pair).map_or_else(|| pair.1.clone(), |at| at.to_string());
            (&pair.0, text)
        });
        let settled = form_urlencoded::Serializer::new(String::new()).extend_pairs(settled).finish();
        Some(if settled.is_empty() { path.to_owned() } else { format!("{path}?{settled}") })
    }

    /// The same as a form's field shows it, whichever way the address has it; what is no time stays as it was given.
    #[must_use]
    pub fn begin(&self, name: &str, clock: &Clock) -> String {
        self.field(name, clock, |text| parameter::parsed(name, Some(text)))
    }

    /// The end of a span, likewise.
    #[must_use]
    pub fn end(&self, name: &str, clock: &Clock) -> String {
        self.field(name, clock, |text| parameter::end_time(name, Some(text)))
    }

    fn field(
        &self,
        name: &str,
        clock: &Clock,
        read: impl Fn(&str) -> Result<Option<Timestamp>, Invalid>,
    ) -> String {
        let given = self.time(name, clock).unwrap_or_default();
        read(&given).ok().flatten().map_or(given, |at| clock.write_field(at))
    }

    /// What was just done.
    #[must_use]
    pub fn done(&self) -> Option<&str> {
        self.get("done")
    }

    /// Whether it is the first page.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.get("cursor").is_none()
    }

    /// Whether the list is narrowed by one of these.
    #[must_use]
    pub fn is_narrowed(&self, by: &[Filter]) -> bool {
        by.iter().any(|(name, _)| self.get(name).is_some())
    }

    /// Refuses what is no filter of the list, and one that is given more than once: what a page shows, and what is done to it, is what its
    /// whole address says.
    pub fn check(&self, filters: &[Filter]) -> Result<(), Invalid> {
        let (mut unknown, mut repeated) = (Vec::new(), Vec::new());
        for (at, (name, _)) in self.0.iter().enumerate() {
            let label = filters.iter().find(|(known, _)| known == name).map(|(_, label)| *label);
            let is_known = label.is_some() || BESIDE_FILTERS.contains(&name.as_str());
            let is_repeated = self.0[..at].iter().any(|(before, _)| before == name);
            if !is_known && !is_repeated {
                unknown.push(format!("“{}”", name.chars().take(NAME_CHARS_SHOWN).collect::<String>()));
            }
            if let Some(label) = label.filter(|label| is_repeated && !repeated.contains(label)) {
                repeated.push(label);
            }
        }
        let mut wrong = Vec::new();
        if !unknown.is_empty() {
            wrong.push(format!("has no filter {}", unknown.join(" or ")));
        }
        if !repeated.is_empty() {
            wrong.push(format!("takes {} only once", repeated.join(" and ")));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Invalid::value(format!("this list {}: change its address", wrong.join(" and "))))
    }

    /// What narrows the list, as its page says it; `words` says what is no text that was typed.
    #[must_use]
    pub fn chosen(
        &self,
        filters: &[Filter],
        words: impl Fn(&str, &str) -> Option<String>,
    ) -> Vec<(&'static str, String)> {
        let chosen = filters.iter().filter_map(|(name, label)| Some((*name, *label, self.get(name)?)));
        chosen
            .map(|(name, label, text)| (label, words(name, text).unwrap_or_else(|| text.to_owned())))
            .collect()
    }

    /// Behind which row the page begins.
    pub fn before<I: From<[u8; 16]>>(&self) -> Result<Option<I>, Invalid> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let wrong = || Invalid::field("cursor", "names no page: begin at the list's first one");
        parameter::read_cursor(text).map(Some).ok_or_else(wrong)
    }

    /// The ways from this page to others of the list, which stands at `path`.
    #[must_use]
    pub fn pager(&self, path: &str, next: Option<RowId>) -> Pager {
        let (is_first, filters) = (self.is_first(), self.filters());
        let to = |cursor: Option<String>| {
            let parameters = [Some(filters.clone()).filter(|filters| !filters.is_empty()), cursor];
            let parameters: Vec<_> = parameters.into_iter().flatten().collect();
            if parameters.is_empty() { path.to_owned() } else { format!("{path}?{}", parameters.join("&")) }
        };
        let older = next.map(|row| to(Some(format!("cursor={}", parameter::cursor(row)))));
        Pager { is_first, newest: (!is_first).then(|| to(None)), older }
    }

    /// The address's parameters without those that name a page, say what was done, or are a name that means no flow, for a link to
    /// another page.
    #[must_use]
    pub fn filters(&self) -> String {
        self.filters_but(&[])
    }

    /// The same without these.
    #[must_use]
    pub fn filters_but(&self, names: &[&str]) -> String {
        let passing = ["cursor", "done", flow_choice::NAME];
        let is_kept = |name: &str| !passing.contains(&name) && !names.contains(&name);
        let kept = self.0.iter().filter(|(name, _)| is_kept(name));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }
}

/// A part of a list that is read as a whole and stands on a page with others.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// The address's parameter of the part before.
    pub earlier: Option<String>,
    /// The address's parameter of the part that follows.
    pub later: Option<String>,
}

impl<T> Part<T> {
    /// At most `rows_max` of all, behind as many as the address's parameter `name` says.
    #[must_use]
    pub fn of(all: Vec<T>, query: &Query, name: &str, rows_max: usize) -> Self {
        let behind = query.get(name).and_then(|behind| behind.parse().ok()).unwrap_or(0).min(all.len());
        let to = |behind: usize| format!("{name}={behind}");
        Self {
            earlier: (behind > 0).then(|| to(behind.saturating_sub(rows_max))),
            later: (all.len() - behind > rows_max).then(|| to(behind + rows_max)),
            rows: all.into_iter().skip(behind).take(rows_max).collect(),
        }
    }
}

/// The id in a path. What is no id names nothing.
pub fn id<T: FromStr>(text: &str) -> Result<T, PageError> {
    text.parse().map_err(|_| PageError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use axum::http::header::COOKIE;

    #[test]
    fn filters_are_kept_and_pages_are_not() {
        let query =
            Query::read("status=failed&cursor=AAAAAAAAAAAAAAAAAAAAAA&error=&done=redelivered&search=a%20b");
        assert_eq!(query.filters(), "status=failed&search=a+b");
        assert_eq!(query.before::<[u8; 16]>().unwrap(), Some([0; 16]));
        assert!(
            !query.is_first()
                && query.is_narrowed(&[("status", "State")])
                && !query.is_narrowed(&[("error", "Failure")])
        );
        assert_eq!(
            query.chosen(&[("error", "Failure"), ("search", "Search")], |_, _| None),
            [("Search", "a b".into())]
        );
        assert_eq!(Query::read("cursor=x").before::<[u8; 16]>().unwrap_err().field, "cursor");
    }

    #[test]
    fn a_pager_leads_back_to_the_first_page_and_on_with_the_filters() {
        let pager = |query, next| Query::read(query).pager("/calls", next);
        let older = |query| pager(query, Some([0; 16])).older.unwrap_or_default();
        assert_eq!(pager("", None), Pager { is_first: true, newest: None, older: None });
        assert_eq!(older("done=erased"), "/calls?cursor=AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(older("search=a%26b"), "/calls?search=a%26b&cursor=AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(pager("search=x&cursor=y", None).newest.as_deref(), Some("/calls?search=x"));
        assert_eq!(pager("cursor=y", None).newest.as_deref(), Some("/calls"));
    }

    #[test]
    fn a_part_leads_to_those_before_and_behind() {
        let part = |query| Part::of((0..7).collect(), &Query::read(query), "people", 3);
        let leads = |query| (part(query).rows, part(query).earlier, part(query).later);
        let to = |behind: &str| Some(format!("people={behind}"));
        assert_eq!(leads(""), (vec![0, 1, 2], None, to("3")));
        assert_eq!(leads("people=3"), (vec![3, 4, 5], to("0"), to("6")));
        assert_eq!(leads("people=6"), (vec![6], to("3"), None));
        assert_eq!(leads("people=99"), (vec![], to("4"), None));
        assert_eq!(leads("people=x"), leads(""));
    }

    #[test]
    fn a_time_of_an_address_stands_in_its_field_by_the_persons_clock() {
        let headers = [(COOKIE, HeaderValue::from_static("zone=Europe%2FBerlin"))];
        let clock = Clock::of(&headers.into_iter().collect(), Timestamp::default());
        let check = |text: &str, begin: &str, end: &str| {
            let query = Query::read(&format!("at={text}"));
            assert_eq!(
                (query.begin("at", &clock), query.end("at", &clock)),
                (begin.into(), end.into()),
                "{text}"
            );
        };
        check("2026-03-30T14:30:00Z", "2026-03-30T16:30", "2026-03-30T16:30");
        check("2026-03-30T14:30:05%2B02:00", "2026-03-30T14:30:05", "2026-03-30T14:30:05");
        check("2026-03-30T14:30", "2026-03-30T14:30", "2026-03-30T14:30");
        check("2026-03-30", "2026-03-30T02:00", "2026-03-31T02:00");
        check("soon", "soon", "soon");
        check("", "", "");
    }

    #[test]
    fn what_a_form_gives_becomes_an_address_that_means_the_same_everywhere() {
        let headers = [(COOKIE, HeaderValue::from_static("zone=Europe%2FBerlin"))];
        let clock = Clock::of(&headers.into_iter().collect(), Timestamp::default());
        let check = |query: &str, settled: Option<&str>| {
            assert_eq!(
                Query::read(query).settled("/list", &["since", "until"], &clock).as_deref(),
                settled,
                "{query}"
            );
        };
        check(
            "since=2026-03-30T14:30&error=2026-03-30T14:30",
            Some("/list?since=2026-03-30T12%3A30%3A00Z&error=2026-03-30T14%3A30"),
        );
        check("zone=UTC&since=2026-03-30T14:30&until=&status=", Some("/list?since=2026-03-30T14%3A30%3A00Z"));
        check("zone=UTC&status=failed&since=soon", Some("/list?status=failed&since=soon"));
        check("zone=UTC", Some("/list"));
        check("status=failed&since=2026-03-30T14:30:00Z&until=2026-03-30", None);
        check("", None);
    }

    #[test]
    fn each_filter_is_called_as_its_field_is() {
        use crate::dashboard::{call, delivery};
        #[track_caller]
        fn check(page: &str, filters: &[Filter]) {
            // What another page leads to has no field.
            for (name, label) in filters.iter().filter(|(name, _)| !["call_id", "number_id"].contains(name)) {
                let field =
                    page.split("<label").find(|field| field.contains(&format!("<span>{label}</span>")));
                assert!(field.is_some_and(|field| field.contains(&format!("name=\"{name}\""))), "{name}");
            }
        }
        let choice = include_str!("../../templates/call_flow/choice.html");
        check(&[include_str!("../../templates/delivery/list.html"), choice].concat(), &delivery::FILTERS);
        check(&[include_str!("../../templates/call/list.html"), choice].concat(), &call::FILTERS);
        check(include_str!("../../templates/call/list.html"), &call::MORE_FILTERS);
    }

    #[test]
    fn what_an_address_says_that_is_no_filter_or_says_twice_is_named() {
        let filters = [("status", "State"), ("error", "Failure")];
        let check = |query: &str| Query::read(query).check(&filters).map_err(|refused| refused.to_string());
        let refused = |what: &str| Err(format!("this list {what}: change its address"));
        assert_eq!(check("status=failed&error=&error=tls&cursor=x&done=saved&zone=UTC&stauts="), Ok(()));
        assert_eq!(check("stauts=failed&stauts=done"), refused("has no filter “stauts”"));
        assert_eq!(check("a=1&b=2"), refused("has no filter “a” or “b”"));
        assert_eq!(check("status=failed&status=failed&status=x"), refused("takes State only once"));
        let both = "status=a&error=b&x=c&error=b&status=d";
        assert_eq!(check(both), refused("has no filter “x” and takes Failure and State only once"));
    }

    #[test]
    fn a_refused_filter_has_the_pages_name() {
        let labelled =
            |field| labelled(&[("since", "From")], Invalid::field(field, "is not a time")).to_string();
        assert_eq!([labelled("since"), labelled("limit")], ["From is not a time", "limit: is not a time"]);
    }
}
