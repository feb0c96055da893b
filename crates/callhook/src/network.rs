//! The program's door to other machines: attempts, tests and recordings, all through the one guarded sender.

use crate::app::outbound::{FetchFailed, FetchedRecording, Outbound, TestRequest, TestSent};
use crate::telemetry::trace::Tracer;
use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, header};
use delivery::destinations::{Outgoing, json};
use delivery::dispatcher::{AttemptReport, Attempts};
use delivery::sender::{AddressGuard, Exchange, Fetch, FetchBody, Sender, SenderConfig};
use domain::delivery::{Attempt, DeliveryKind, Phases};
use domain::destination::DestinationUrl;
use domain::failure::Failure;
use domain::id::DeliveryId;
use domain::retry::AttemptResult;
use domain::secret::Secret;
use domain::{Invalid, Timestamp, World};
use futures_util::StreamExt as _;
use http_body_util::BodyStream;
use ipnet::{Ipv4Net, Ipv6Net};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use store::queue::Job;
use url::Url;

/// Sends what callhook sends.
pub struct Network {
    sender: Sender,
    world: Arc<dyn World>,
    tracer: Option<Arc<Tracer>>,
}

/// A sender to addresses that the operator names on the command line: their own network is open to them.
#[must_use]
pub fn operators_sender(deadline: Duration) -> Sender {
    let everywhere = vec![Ipv4Net::default().into(), Ipv6Net::default().into()];
    Sender::new(SenderConfig { deadline, ..SenderConfig::from_system(AddressGuard::new(everywhere)) })
}

impl Network {
    /// Over this sender; the clock stamps what is sent.
    #[must_use]
    pub const fn new(sender: Sender, world: Arc<dyn World>, tracer: Option<Arc<Tracer>>) -> Self {
        Self { sender, world, tracer }
    }

    /// Refuses an address that is not publicly routable, as far as its text can tell.
    pub fn check(&self, url: &DestinationUrl) -> Result<(), Invalid> {
        self.sender.guard().check_url(url).map_err(|blocked| {
            let host = url.as_url().host_str().unwrap_or_default().to_owned();
            let failure = Failure::BlockedAddress { host, address: blocked.address, kind: blocked.kind };
            Invalid::value(failure.words())
        })
    }

    async fn exchange(&self, outgoing: &Outgoing<'_>) -> (Exchange, Timestamp) {
        let exchange = self.sender.attempt(&json::request(outgoing)).await;
        // Read, not added up: the next attempt is planned from it, and what passed beside the exchange would make that early.
        (exchange, self.world.now())
    }
}

#[async_trait]
impl Attempts for Network {
    async fn attempt(&self, job: Arc<Job>) -> AttemptReport {
        let sent_at = self.world.now();
        let id = job.pending.id;
        let Some(url) = job.destination.settings.url.as_ref() else {
            // The schedule asks the store before each attempt, which answers that a destination without a URL is switched off.
            return nowhere(&job, sent_at);
        };
        let outgoing = Outgoing {
            destination: &job.destination,
            url,
            body: &job.body,
            delivery_id: id,
            attempt: job.attempt,
            sent_at,
            test: job.kind == DeliveryKind::Test,
        };
        let (exchange, ended_at) = self.exchange(&outgoing).await;
        log(id, job.attempt, &exchange);
        let result = match (exchange.is_success(), exchange.retry_after) {
            (true, _) => AttemptResult::Success,
            (false, retry_after) => AttemptResult::Failure { retry_after },
        };
        let phases = exchange.phases;
        let attempt = record(exchange, &outgoing);
        if let Some(tracer) = &self.tracer {
            tracer.attempted(&job.pending, &attempt, &phases);
        }
        AttemptReport { attempt, ended_at, result }
    }
}

#[async_trait]
impl Outbound for Network {
    async fn send_test(&self, test: TestRequest) -> TestSent {
        let sent_at = self.world.now();
        let Some(url) = test.destination.settings.url.as_ref() else {
            let attempt = unsent(1, sent_at);
            return TestSent { attempt, ended_at: sent_at };
        };
        let outgoing = Outgoing {
            destination: &test.destination,
            url,
            body: &test.body,
            delivery_id: test.delivery_id,
            attempt: 1,
            sent_at,
            test: true,
        };
        let (exchange, ended_at) = self.exchange(&outgoing).await;
        log(test.delivery_id, 1, &exchange);
        TestSent { attempt: record(exchange, &outgoing), ended_at }
    }

    async fn fetch_recording(
        &self,
        url: &Secret,
        range: Option<HeaderValue>,
    ) -> Result<FetchedRecording, FetchFailed> {
        let url = Url::parse(url.reveal())
            .map_err(|_| FetchFailed::Failed("the recording's address is no URL".into()))?;
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            headers.insert(header::RANGE, range);
        }
        let fetched = self.sender.fetch(&Fetch { url, headers, authorization: None }).await;
        let fetched = fetched.map_err(|failure| FetchFailed::Failed(failure.to_string()))?;
        let text = |name| fetched.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        match fetched.status {
            200 | 206 | 416 => Ok(FetchedRecording {
                status: fetched.status,
                content_type: text(header::CONTENT_TYPE).map(str::to_owned),
                content_length: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
                content_range: text(header::CONTENT_RANGE).map(str::to_owned),
                accepts_ranges: text(header::ACCEPT_RANGES) == Some("bytes"),
                body: stream(fetched.body),
            }),
            404 | 410 => Err(FetchFailed::NotThere),
            status => Err(FetchFailed::Failed(format!("the source answered {status}"))),
        }
    }
}

fn stream(body: FetchBody) -> futures_util::stream::BoxStream<'static, io::Result<bytes::Bytes>> {
    let frames = BodyStream::new(body).filter_map(|frame| async {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(failure) => Some(Err(io::Error::other(failure.to_string()))),
        }
    });
    frames.boxed()
}

fn record(exchange: Exchange, outgoing: &Outgoing<'_>) -> Attempt {
    Attempt {
        attempt: outgoing.attempt,
        started_at: outgoing.sent_at,
        duration_ms: exchange.duration_ms,
        status_code: exchange.status_code,
        error: exchange.failure.as_ref().map(Failure::code),
        error_detail: exchange.failure.as_ref().map(Failure::words),
        url: exchange.url,
        remote_address: exchange.remote_address,
        response_headers: exchange.response_headers,
        response_excerpt: exchange.response_excerpt,
        repeated: false,
        header_names: Some(outgoing.destination.settings.headers.names()),
        phases: Some(phases(exchange.phases)),
    }
}

/// The steps in whole milliseconds, as they are kept.
fn phases(spent: delivery::sender::Phases) -> Phases {
    let millis = |spent: Duration| u32::try_from(spent.as_millis()).unwrap_or(u32::MAX);
    Phases {
        dns_ms: millis(spent.dns),
        connect_ms: millis(spent.connect),
        tls_ms: millis(spent.tls),
        wait_ms: millis(spent.wait),
        connection_reused: spent.reused,
    }
}

fn log(id: DeliveryId, attempt: u32, exchange: &Exchange) {
    let duration_ms = exchange.duration_ms;
    match &exchange.failure {
        None => tracing::debug!(delivery_id = %id, attempt, duration_ms, "An attempt succeeded"),
        Some(failure) => {
            let error = failure.code();
            tracing::debug!(delivery_id = %id, attempt, duration_ms, error, "An attempt failed");
        }
    }
}

fn nowhere(job: &Job, at: Timestamp) -> AttemptReport {
    let attempt = unsent(job.attempt, at);
    AttemptReport { attempt, ended_at: at, result: AttemptResult::Failure { retry_after: None } }
}

fn unsent(attempt: u32, started_at: Timestamp) -> Attempt {
    Attempt {
        attempt,
        started_at,
        duration_ms: 0,
        status_code: None,
        error: Some("no_url".to_owned()),
        error_detail: Some("The webhook has no URL. Give it one in the call flow's settings.".to_owned()),
        url: String::new(),
        remote_address: None,
        response_headers: Vec::new(),
        response_excerpt: None,
        repeated: false,
        header_names: None,
        phases: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use delivery::sender::signature;
    use domain::destination::{Destination, DestinationSettings, SigningSecrets};
    use domain::id::{BusinessId, CallFlowId, DestinationId};
    use domain::payload::FrozenBody;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// Every look at its clock is a minute later.
    struct SlowWorld(AtomicI64);

    impl World for SlowWorld {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.fetch_add(60_000, Ordering::Relaxed))
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[tokio::test]
    async fn an_attempt_ends_when_all_of_it_has_passed_not_only_the_exchange() {
        let sender = Sender::new(SenderConfig::from_system(AddressGuard::new(Vec::new())));
        let network = Network::new(sender, Arc::new(SlowWorld(AtomicI64::new(0))), None);
        // Blocked: it fails at once, and no machine is called.
        let url = DestinationUrl::parse("http://127.0.0.1:9/").unwrap();
        let destination = Destination {
            id: DestinationId::from_bytes([1; 16]),
            business_id: BusinessId::from_bytes([2; 16]),
            call_flow_id: CallFlowId::from_bytes([3; 16]),
            settings: DestinationSettings { url: Some(url), ..Default::default() },
            signing: SigningSecrets { current: signature::generate([1; 32]), previous: None },
        };
        let sent = network
            .send_test(TestRequest {
                delivery_id: DeliveryId::from_bytes([4; 16]),
                destination: Arc::new(destination),
                body: Arc::new(FrozenBody::from_bytes(b"{\"event\":null".to_vec())),
            })
            .await;
        assert_eq!(sent.attempt.error.as_deref(), Some("blocked_address"));
        assert_eq!(sent.ended_at.since(sent.attempt.started_at), Duration::from_mins(1));
    }
}
