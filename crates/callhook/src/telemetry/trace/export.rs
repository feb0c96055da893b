//! Spans on their way to a collector: OTLP over HTTP, in batches, beside everything else.

use super::{Sampling, Tracer};
use async_trait::async_trait;
use bytes::Bytes;
use domain::World;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::InstrumentationScope;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

/// Spans that wait for the exporter; beyond it they are dropped: some 2,000 deliveries' worth.
const SPANS_QUEUED_MAX: usize = 16_384;
/// Spans of one request to the collector: some 500 KB.
const SPANS_SENT_MAX: usize = 2_048;
/// How often the collector is sent what is there.
const SENT_EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of its answer that are read.
const ANSWER_BYTES_MAX: usize = 65_536;
/// Where a collector takes traces, if the endpoint names no path.
const TRACES_PATH: &str = "/v1/traces";

/// Where traces go.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// The collector.
    pub endpoint: Url,
    /// Which share of the traces is taken, from 0 to 1.
    pub sample_ratio: f64,
}

/// Tracing cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("--otlp-endpoint cannot be used: {0}")]
pub struct TraceError(String);

impl Tracer {
    /// Starts the exporter. Must run inside the runtime that is to make its requests.
    pub fn start(config: &OtlpConfig, world: Arc<dyn World>) -> Result<Self, TraceError> {
        let mut endpoint = config.endpoint.clone();
        if endpoint.path() == "/" {
            endpoint.set_path(TRACES_PATH);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.as_str())
            .with_timeout(ANSWERS_WITHIN)
            .build()
            .map_err(|error| TraceError(error.to_string()))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(SPANS_QUEUED_MAX)
            .with_max_export_batch_size(SPANS_SENT_MAX)
            .with_scheduled_delay(SENT_EVERY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let version = env!("CARGO_PKG_VERSION");
        let service = Resource::builder_empty()
            .with_service_name("callhook")
            .with_attribute(opentelemetry::KeyValue::new("service.version", version))
            .build();
        processor.set_resource(&service);
        let scope = InstrumentationScope::builder("callhook").with_version(version).build();
        Ok(Self { processor, scope, sampling: Sampling::new(config.sample_ratio), world })
    }
}

/// The client that reaches the collector: the operator named its address, so that nothing guards it.
#[derive(Debug)]
struct Collector {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    // The exporter's thread has no runtime of its own.
    runtime: Handle,
    fails: AtomicBool,
}

impl Collector {
    fn new() -> Result<Self, TraceError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TraceError(error.to_string()))?
            .with_root_certificates(delivery::sender::system_roots())
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, runtime: Handle::current(), fails: AtomicBool::new(false) })
    }

    /// Says so once when it begins to fail, and once when that is over.
    fn note(&self, answer: &Result<http::Response<Bytes>, HttpError>) {
        let failure = match answer {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        match (failure, self.fails.load(Ordering::Relaxed)) {
            (Some(error), false) => tracing::warn!(
                error,
                "The trace collector does not take traces: they are dropped until it does"
            ),
            (None, true) => tracing::info!("The trace collector takes traces again"),
            (failure, _) => return drop(failure),
        }
        self.fails.fetch_xor(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let exchange = async move {
            let answer = http.request(request.map(Full::new)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, HttpError>(http::Response::from_parts(head, body))
        };
        let answer = self.runtime.spawn(async { tokio::time::timeout(ANSWERS_WITHIN, exchange).await }).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("it did not answer in time".into()),
            Err(error) => Err(error.into()),
        };
        self.note(&answer);
        answer
    }
}
