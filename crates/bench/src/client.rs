//! One kept connection to what is measured.

use crate::{Failure, Outcome};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// The API key of every business that is made here.
pub const API_KEY: &str = "ch_key_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A connection that carries one request after the other.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Connection {
    /// Opens one.
    pub async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // Its error is the next request's as well.
        tokio::spawn(connection);
        Ok(Self { sender, address })
    }

    /// Sends a request to the API and reads its whole answer.
    pub async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Outcome<(StatusCode, Bytes)> {
        self.exchange(method, &format!("/api/v1{path}"), body).await
    }

    /// Asks for a page outside the API.
    pub async fn get(&mut self, path: &str) -> Outcome<(StatusCode, Bytes)> {
        self.exchange(Method::GET, path, Bytes::new()).await
    }

    async fn exchange(&mut self, method: Method, path: &str, body: Bytes) -> Outcome<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("authorization", format!("Bearer {API_KEY}"))
            .header("content-type", "application/json")
            .body(Full::from(body))
            .map_err(failed)?;
        self.sender.ready().await.map_err(failed)?;
        let answer = self.sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await.map_err(failed)?.to_bytes()))
    }

    /// Sends JSON; the `data` of the answer, which has to be a success.
    pub async fn data(&mut self, method: Method, path: &str, body: &Value) -> Outcome<Value> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let (status, answer) = self.send(method, path, body).await?;
        if !status.is_success() {
            return Err(Failure::new(format!("{path}: {status} {}", String::from_utf8_lossy(&answer))));
        }
        let mut answer: Value = serde_json::from_slice(&answer).map_err(failed)?;
        Ok(answer["data"].take())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err by name")]
fn failed(error: impl ToString) -> Failure {
    Failure::new(error.to_string())
}
