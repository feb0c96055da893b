//! What `tail` reads of a server: single answers, and the stream that does not end.

use crate::cli::Failure;
use crate::network::operators_sender;
use axum::http::{HeaderMap, HeaderValue};
use delivery::sender::{Fetch, FetchBody, Sender};
use domain::secret::Secret;
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of an answer: a page of deliveries has some 300 KB, a delivery with a long transcript some MB.
const ANSWER_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// A server's API, opened by a key.
pub struct Client {
    sender: Sender,
    base: String,
    authorization: HeaderValue,
}

/// Why nothing was read.
#[derive(Debug)]
pub enum Unread {
    /// It may be read later.
    Lost(String),
    /// It will never be read: the address or the key is wrong.
    Refused(String),
    /// There is no such thing any more.
    Gone,
}

impl Client {
    /// The server at `url`.
    pub fn new(url: &Url, key: &Secret) -> Result<Self, Failure> {
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.query().is_some() {
            return Err(Failure::new("--url is wrong: https://host, as the server is reached, is expected"));
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", key.reveal()))
            .map_err(|_| Failure::new("--api-key is wrong: `ch_key_` and 43 characters are expected"))?;
        authorization.set_sensitive(true);
        let base = format!("{}/api/v1", url.as_str().trim_end_matches('/'));
        Ok(Self { sender: operators_sender(ANSWER_WITHIN), base, authorization })
    }

    /// The `data` of an answer.
    pub async fn data(&self, path: &str) -> Result<Value, Unread> {
        let body = Limited::new(self.get(path).await?, ANSWER_BYTES_MAX);
        let bytes = body.collect().await.map_err(|error| Unread::Lost(error.to_string()))?.to_bytes();
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(mut answer) if answer["data"].is_object() => Ok(answer["data"].take()),
            _ => Err(Unread::Refused("it answers, but not as callhook does: check --url".to_owned())),
        }
    }

    /// The body of a good answer, still on its way. It fails where it is silent for longer than the server's signs of life are apart.
    pub async fn get(&self, path: &str) -> Result<FetchBody, Unread> {
        let url = Url::parse(&format!("{}{path}", self.base));
        let url = url.map_err(|error| Unread::Refused(format!("--url is wrong: {error}")))?;
        let fetch = Fetch { url, headers: HeaderMap::new(), authorization: Some(self.authorization.clone()) };
        let fetched = self.sender.fetch(&fetch).await.map_err(|failure| Unread::Lost(failure.words()))?;
        match fetched.status {
            200 => Ok(fetched.body),
            404 => Err(Unread::Gone),
            401 | 403 => Err(Unread::Refused(
                "it refuses the key: make one with `callhook keys create --role viewer`".to_owned(),
            )),
            429 | 500.. => Err(Unread::Lost(format!("it answered with {}", fetched.status))),
            status => Err(Unread::Refused(format!("it answered with {status}: check --url"))),
        }
    }

    /// The stream of changes.
    pub async fn stream(&self) -> Result<FetchBody, Unread> {
        match self.get("/webhook-deliveries/events").await {
            Err(Unread::Gone) => {
                Err(Unread::Refused("there is no callhook at this address: check --url".to_owned()))
            }
            got => got,
        }
    }
}

const _: () = assert!(
    delivery::sender::limits::FETCH_IDLE_MAX.as_secs() > crate::app::changes::KEEP_ALIVE.as_secs(),
    "a quiet stream is not taken for a dead one"
);

/// The value of a query: as it stands between `=` and `&`.
pub fn query(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What a client of the terminal says of an address: without path, query or user.
pub fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}
