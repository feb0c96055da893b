//! The only client that talks to destinations: one attempt is one request and the redirects it leads to.
//!
//! - **Where to:** the guard ([`guard`]) is asked for every address right before it is connected, at every hop. No proxy variable is
//!   read by any code here: a proxy would connect for us, unguarded.
//! - **How long:** one deadline from the start to the final status. Then the first bytes of the body are read for the log, within what
//!   is left of it and a short grace; they never change the outcome.
//! - **How much:** answers are read up to the bounds in `limits`, whatever an endpoint sends; nothing is decompressed.
//! - **What is told:** a [`Failure`] with every fact for its words. Nothing here logs a URL, a header or a body.

use connect::Connector;
use domain::Timestamp;
use domain::failure::Failure;
use hop::Answer;
use message::Message;
use pool::Pool;
use redirect::{Direction, Trail};
use rustls::RootCertStore;
use std::sync::Arc;
use std::time::Duration;
use timeline::Timeline;
use tokio::time::{Instant, timeout_at};

mod connect;
mod exchange;
mod fetch;
pub mod guard;
mod hop;
pub mod limits;
mod message;
mod origin;
mod pool;
mod redirect;
mod request;
pub mod resolver;
mod retry_after;
pub mod signature;
mod timeline;
mod tls;

pub use exchange::Exchange;
pub use fetch::{Fetch, FetchBody, Fetched};
pub use guard::AddressGuard;
pub use request::Request;
pub use timeline::Phases;
pub use tls::system_roots;

/// What a sender is made of.
pub struct SenderConfig {
    /// From an attempt's start to the final status.
    pub deadline: Duration,
    /// Which addresses may be connected.
    pub guard: AddressGuard,
    /// Who knows the addresses of names.
    pub resolver: Arc<dyn resolver::Resolve>,
    /// Who may sign certificates.
    pub roots: RootCertStore,
}

impl SenderConfig {
    /// As this machine is set up: its name servers, the authorities that it trusts, and the product's deadline.
    #[must_use]
    pub fn from_system(guard: AddressGuard) -> Self {
        Self {
            deadline: limits::ATTEMPT_DURATION_MAX,
            guard,
            resolver: Arc::new(resolver::SystemResolver::from_system()),
            roots: system_roots(),
        }
    }
}

/// Sends attempts. One for the whole process: it keeps the idle connections.
pub struct Sender {
    connector: Connector,
    pool: Pool,
    deadline: Duration,
}

impl Sender {
    /// A sender without connections yet.
    #[must_use]
    pub fn new(config: SenderConfig) -> Self {
        let connector =
            Connector { guard: config.guard, resolver: config.resolver, tls: tls::connector(config.roots) };
        Self { connector, pool: Pool::default(), deadline: config.deadline }
    }

    /// The rule that says which addresses are blocked; also for URLs that are to be saved.
    #[must_use]
    pub const fn guard(&self) -> &AddressGuard {
        &self.connector.guard
    }

    /// Makes one attempt. Dropping the future ends it; what was sent by then is sent.
    pub async fn attempt(&self, request: &Request) -> Exchange {
        let started = Instant::now();
        let deadline = started + self.deadline;
        let mut timeline = Timeline::new(request.url.as_url().clone());
        let walked = async {
            let message = Message::of_request(request)?;
            self.walk(message, Some(&self.pool), &mut timeline, deadline).await
        };
        let walked = timeout_at(deadline, walked).await;
        let walked = walked.unwrap_or_else(|_| Err(timeline.timeout(self.deadline)));
        timeline.pause();
        let mut exchange = Exchange {
            duration_ms: 0,
            status_code: None,
            failure: None,
            retry_after: None,
            url: timeline.url.to_string(),
            remote_address: timeline.remote.map(|remote| remote.to_string()),
            response_headers: Vec::new(),
            response_excerpt: None,
            phases: timeline.phases(),
        };
        match walked {
            Ok(ended) => {
                read_head(&mut exchange, &ended, request.sent_at.after(started.elapsed()));
                let excerpt =
                    exchange::excerpt(ended.answer, &self.pool, deadline + limits::BODY_GRACE).await;
                exchange.response_excerpt = Some(excerpt);
            }
            Err(failure) => exchange.failure = Some(failure),
        }
        exchange.duration_ms = timeline::millis(started.elapsed());
        exchange
    }

    /// Fetches by GET what a URL leads to, up to the final status within the deadline. Never over a kept connection: what is
    /// fetched is large and seldom.
    pub async fn fetch(&self, fetch: &Fetch) -> Result<Fetched, Failure> {
        let deadline = Instant::now() + self.deadline;
        let mut timeline = Timeline::new(fetch.url.clone());
        let walked = self.walk(Message::of_fetch(fetch), None, &mut timeline, deadline);
        let walked = timeout_at(deadline, walked).await;
        let ended = walked.unwrap_or_else(|_| Err(timeline.timeout(self.deadline)))?;
        if let Some(failure) = ended.failure {
            return Err(failure);
        }
        let Answer { response, connection } = ended.answer;
        let (head, body) = response.into_parts();
        Ok(Fetched {
            status: head.status.as_u16(),
            headers: head.headers,
            body: FetchBody::new(body, connection),
        })
    }

    /// Sends the message and follows redirects until an answer is final.
    async fn walk(
        &self,
        mut message: Message,
        pool: Option<&Pool>,
        timeline: &mut Timeline,
        deadline: Instant,
    ) -> Result<Ended, Failure> {
        let mut trail = Trail::from(&message);
        loop {
            let answer = hop::send(&message, &self.connector, pool, timeline, deadline).await?;
            let status = answer.response.status().as_u16();
            let location = answer.response.headers().get(http::header::LOCATION);
            let failure = match redirect::direction(&message.url, status, location) {
                Direction::On { url, keeps_body } if trail.redirects() < limits::REDIRECTS_MAX => {
                    hop::discard(answer, pool);
                    trail.go_to(url.clone());
                    timeline.go_to(url.clone());
                    message = message.redirected(url, keeps_body);
                    continue;
                }
                Direction::On { url, .. } => Some(trail.limit(&url)),
                Direction::Refused(reason) => Some(Failure::RedirectRefused {
                    host: message.url.host_str().unwrap_or_default().to_owned(),
                    reason,
                }),
                Direction::Final => None,
            };
            return Ok(Ended { answer, failure });
        }
    }
}

/// A final answer, and why it is one where it is a redirect that is not followed.
struct Ended {
    answer: Answer,
    failure: Option<Failure>,
}

/// Takes over what the final answer's head says.
fn read_head(exchange: &mut Exchange, ended: &Ended, now: Timestamp) {
    let response = &ended.answer.response;
    let status = response.status().as_u16();
    let asked = response.headers().get(http::header::RETRY_AFTER);
    exchange.status_code = Some(status);
    exchange.response_headers = exchange::kept_headers(response.headers());
    exchange.retry_after = asked.and_then(|value| retry_after::parse(status, value.as_bytes(), now));
    exchange.failure = match &ended.failure {
        Some(failure) => Some(failure.clone()),
        None if response.status().is_success() => None,
        None => Some(Failure::Status { status, retry_at: exchange.retry_after.map(|wait| now.after(wait)) }),
    };
}

#[cfg(test)]
mod tests;
