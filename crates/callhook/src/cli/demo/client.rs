//! A client of the public API, as the demo's users would write one.

use crate::cli::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

pub struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    base: String,
    key: String,
}

impl Client {
    pub fn new(base: &str, key: &str) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { http, base: base.to_owned(), key: key.to_owned() }
    }

    /// A request with a JSON body; the answer's `data`.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()));
        let answer = self.exchange(request, path).await?;
        let mut answer: Value =
            serde_json::from_slice(&answer).map_err(|error| Failure::new(format!("{path}: {error}")))?;
        Ok(answer["data"].take())
    }

    /// The rows of a list.
    pub async fn list(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        match self.send("GET", path, &Value::Null).await?[name].take() {
            Value::Array(rows) => Ok(rows),
            _ => Err(Failure::new(format!("{path} answered no list of {name}"))),
        }
    }

    /// A form, posted as Twilio posts it: to an absolute address, with its signature.
    pub async fn post_form(
        &self,
        url: &str,
        form: &[(String, String)],
        signature: &str,
    ) -> Result<(), Failure> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = http::Request::builder()
            .method("POST")
            .uri(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-twilio-signature", signature)
            .body(Full::from(body));
        self.exchange(request, "the Twilio callback").await.map(drop)
    }

    async fn exchange(
        &self,
        request: http::Result<http::Request<Full<Bytes>>>,
        what: &str,
    ) -> Result<Bytes, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{what}: {error}"));
        let request = request.map_err(|error| failed(&error))?;
        let answer = self.http.request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(failed(&format!("{status}: {}", String::from_utf8_lossy(&body))))
        }
    }
}
