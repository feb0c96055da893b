//! Requests as they were answered: counted by route and method, which are few and known from the start, and by class of status.

use super::limits::REQUEST_MICROS_BOUNDS;
use axum::http::{Method, StatusCode};
use domain::measure::{Counter, Distribution, Histogram};
use std::collections::BTreeMap;
use std::time::Duration;

/// The route of what no route is for.
pub const UNMATCHED: &str = "unmatched";
/// The route of every page of the dashboard.
pub const PAGES: &str = "dashboard";
/// Methods with a count of their own; the last name is for all others.
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "other"];
/// Classes of status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Where a single call is reported: what is refused there is a refused report.
const REPORT: (&str, &str) = ("POST", "/api/v1/calls");

/// Counts of every route.
#[derive(Debug)]
pub struct Requests {
    routes: BTreeMap<String, [Endpoint; METHODS.len()]>,
    reports_refused: Counter,
}

#[derive(Debug)]
struct Endpoint {
    classes: [Counter; CLASSES.len()],
    duration: Histogram,
}

/// One endpoint that was asked at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The route, as the API documents it.
    pub route: String,
    /// The method.
    pub method: &'static str,
    /// Answers by class of status.
    pub classes: Vec<(&'static str, u64)>,
    /// Microseconds until the answer's head was there.
    pub duration: Distribution,
}

impl Requests {
    /// Counts for these routes; requests for anything else are counted together.
    pub fn new(routes: impl IntoIterator<Item = String>) -> Self {
        let routes = routes.into_iter().chain([UNMATCHED, PAGES].map(str::to_owned));
        let routes = routes.map(|route| (route, std::array::from_fn(|_| Endpoint::new()))).collect();
        Self { routes, reports_refused: Counter::default() }
    }

    /// Counts a request that was answered.
    pub fn add(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let Some(methods) = route
            .and_then(|route| self.routes.get(route).or_else(|| self.routes.get(PAGES)))
            .or_else(|| self.routes.get(UNMATCHED))
        else {
            return;
        };
        let index = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        methods[index].add(status, took);
        let is_refused = matches!(status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT);
        if is_refused && route == Some(REPORT.1) && method == REPORT.0 {
            self.reports_refused.add(1);
        }
    }

    /// Single reports that were refused for what they say.
    #[must_use]
    pub fn reports_refused(&self) -> u64 {
        self.reports_refused.total()
    }

    /// Every endpoint that was asked.
    #[must_use]
    pub fn read(&self) -> Vec<Asked> {
        let endpoints = self.routes.iter().flat_map(|(route, methods)| {
            METHODS.into_iter().zip(methods).map(move |(method, endpoint)| (route, method, endpoint))
        });
        let asked = endpoints.map(|(route, method, endpoint)| Asked {
            route: route.clone(),
            method,
            classes: CLASSES.into_iter().zip(endpoint.classes.iter().map(Counter::total)).collect(),
            duration: endpoint.duration.read(),
        });
        asked.filter(|asked| asked.duration.count() > 0).collect()
    }
}

impl Endpoint {
    fn new() -> Self {
        Self { classes: Default::default(), duration: Histogram::new(&REQUEST_MICROS_BOUNDS) }
    }

    fn add(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len());
        self.classes[class - 1].add(1);
        self.duration.add_duration(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was counted: each endpoint with the classes that are not zero.
    fn counted(requests: &Requests) -> Vec<String> {
        let line = |asked: Asked| {
            let some = asked.classes.iter().filter(|(_, count)| *count > 0);
            let classes: Vec<_> = some.map(|(class, count)| format!("{class}={count}")).collect();
            format!("{} {} {}", asked.method, asked.route, classes.join(" "))
        };
        requests.read().into_iter().map(line).collect()
    }

    #[test]
    fn requests_are_counted_by_route_method_and_class() {
        let requests = Requests::new(["/a/{id}".to_owned()]);
        let moment = Duration::from_millis(1);
        requests.add(&Method::GET, Some("/a/{id}"), StatusCode::OK, moment);
        requests.add(&Method::GET, Some("/a/{id}"), StatusCode::NOT_FOUND, moment);
        requests.add(&Method::POST, Some("/a/{id}"), StatusCode::INTERNAL_SERVER_ERROR, moment);
        requests.add(&Method::OPTIONS, None, StatusCode::NOT_FOUND, moment);
        let expected = ["GET /a/{id} 2xx=1 4xx=1", "POST /a/{id} 5xx=1", "other unmatched 4xx=1"];
        assert_eq!(counted(&requests), expected);
    }

    #[test]
    fn what_a_stranger_invents_makes_no_new_series() {
        let requests = Requests::new([]);
        for number in 0..100 {
            let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
            requests.add(&method, None, StatusCode::NOT_FOUND, Duration::ZERO);
        }
        assert_eq!(counted(&requests), ["other unmatched 4xx=100"]);
    }

    #[test]
    fn all_pages_are_counted_together() {
        let requests = Requests::new(["/api/v1/calls".to_owned()]);
        for page in ["/b/{business}/calls", "/b/{business}/calls/{id}", "/sign-in"] {
            requests.add(&Method::GET, Some(page), StatusCode::OK, Duration::ZERO);
        }
        assert_eq!(counted(&requests), ["GET dashboard 2xx=3"]);
    }

    #[test]
    fn a_report_that_is_refused_is_counted_as_such() {
        let requests = Requests::new([REPORT.1.to_owned(), "/api/v1/numbers".to_owned()]);
        for (route, status) in [
            (REPORT.1, StatusCode::UNPROCESSABLE_ENTITY),
            (REPORT.1, StatusCode::CONFLICT),
            (REPORT.1, StatusCode::CREATED),
            (REPORT.1, StatusCode::UNAUTHORIZED),
            ("/api/v1/numbers", StatusCode::UNPROCESSABLE_ENTITY),
        ] {
            requests.add(&Method::POST, Some(route), status, Duration::ZERO);
        }
        assert_eq!(requests.reports_refused(), 2);
    }
}
