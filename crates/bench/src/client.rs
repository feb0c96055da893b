//! One kept connection to what is measured.

use crate::{Failure, Outcome};
use bytes::Bytes;
use http::request::Builder;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
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
    /// The session of a person who is signed in.
    cookie: Option<String>,
}

impl Connection {
    /// Opens one.
    pub async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // Its error is the next request's as well.
        tokio::spawn(connection);
        Ok(Self { sender, address, cookie: None })
    }

    /// Sends a request to the API and reads its whole answer.
    pub async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Outcome<(StatusCode, Bytes)> {
        self.exchange(method, &format!("/api/v1{path}"), body).await
    }

    /// Asks for a path as it stands, of the API or not.
    pub async fn get(&mut self, path: &str) -> Outcome<(StatusCode, Bytes)> {
        self.exchange(Method::GET, path, Bytes::new()).await
    }

    /// Becomes the first user by the link that the program has made; what follows is asked as that person. Answers where the pages are.
    pub async fn set_up(&mut self, link: &str) -> Outcome<String> {
        let form = "name=Bench&email=bench%40example.com&password=a+long+password&business=bench";
        let request = Request::builder()
            .method(Method::POST)
            .uri(link)
            .header("host", self.address.to_string())
            .header("origin", format!("http://{}", self.address))
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = self.answer(request, Bytes::from_static(form.as_bytes())).await?;
        let cookie = answer.headers().get("set-cookie").and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        self.cookie = Some(cookie.ok_or_else(|| Failure::new("the first user was not made"))?);
        answer.into_body().collect().await.map_err(failed)?;
        let home = self.answer(self.request(Method::GET, "/"), Bytes::new()).await?;
        let home = home.headers().get("location").and_then(|home| home.to_str().ok()).map(str::to_owned);
        home.ok_or_else(|| Failure::new("nothing leads to the pages"))
    }

    async fn exchange(&mut self, method: Method, path: &str, body: Bytes) -> Outcome<(StatusCode, Bytes)> {
        let request = self
            .request(method, path)
            .header("authorization", format!("Bearer {API_KEY}"))
            .header("content-type", "application/json");
        let answer = self.answer(request, body).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await.map_err(failed)?.to_bytes()))
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path).header("host", self.address.to_string());
        self.cookie.iter().fold(request, |request, cookie| request.header("cookie", cookie))
    }

    async fn answer(&mut self, request: Builder, body: Bytes) -> Outcome<Response<Incoming>> {
        let request = request.body(Full::from(body)).map_err(failed)?;
        self.sender.ready().await.map_err(failed)?;
        self.sender.send_request(request).await.map_err(failed)
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
