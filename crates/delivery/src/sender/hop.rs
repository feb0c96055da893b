//! One request and its answer's head, over a connection that is kept or fresh.

use super::connect::{Connection, Connector};
use super::limits;
use super::message::Message;
use super::origin::Origin;
use super::pool::{self, Pool};
use super::timeline::Timeline;
use super::tls;
use bytes::Bytes;
use domain::failure::{Failure, Phase, ProtocolFailure, TlsFailure};
use failpoint::{Point, reach};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// An answer's head, its body not yet read, and the connection that it comes over.
pub(super) struct Answer {
    pub response: Response<Incoming>,
    pub connection: Connection,
}

/// Sends the message and waits for the status.
///
/// A kept connection may have been closed by the other side just now. Where it is certain that not a byte of the request went out,
/// the request is sent once more, over a fresh connection; where it is not certain, the attempt has failed and the schedule decides.
pub(super) async fn send(
    message: &Message,
    connector: &Connector,
    pool: Option<&Pool>,
    timeline: &mut Timeline,
    deadline: Instant,
) -> Result<Answer, Failure> {
    let mut request = message.to_http()?;
    let unsendable = || Failure::Protocol { host: host(message), reason: ProtocolFailure::Unsendable };
    let origin = Origin::of(&message.url).ok_or_else(unsendable)?;
    if let Some(connection) = pool.and_then(|pool| pool.take(&origin)) {
        timeline.remote = Some(connection.remote);
        match exchange(connection, request, message, timeline).await {
            Ok(answer) => return Ok(answer),
            Err(Unanswered::Failed(failure)) => return Err(failure),
            Err(Unanswered::NotSent(unsent, _)) => request = *unsent,
        }
    }
    let connection = connector.connect(&origin, timeline, deadline).await?;
    exchange(connection, request, message, timeline).await.map_err(|unanswered| match unanswered {
        Unanswered::Failed(failure) | Unanswered::NotSent(_, failure) => failure,
    })
}

enum Unanswered {
    /// Nothing of the request was written.
    NotSent(Box<Request<Full<Bytes>>>, Failure),
    /// Something may have been written.
    Failed(Failure),
}

async fn exchange(
    mut connection: Connection,
    mut request: Request<Full<Bytes>>,
    message: &Message,
    timeline: &mut Timeline,
) -> Result<Answer, Unanswered> {
    timeline.enter(Phase::Wait);
    let too_many_interim = count_interim_answers(&mut request);
    let answered = tokio::select! {
        // An answer that is there counts, however many came before it.
        biased;
        answered = connection.requests.try_send_request(request) => answered,
        () = too_many_interim.notified() => {
            let reason = ProtocolFailure::TooManyInterim;
            return Err(Unanswered::Failed(Failure::Protocol { host: host(message), reason }));
        }
    };
    timeline.pause();
    match answered {
        Ok(response) => {
            reach(Point::AnswerBegun);
            connection.idle_max = pool::idle_max(response.headers());
            // It does without.
            connection.asked_for_certificate = false;
            Ok(Answer { response, connection })
        }
        Err(mut unanswered) => {
            let unsent = unanswered.take_message();
            let failure = failure(unanswered.error(), message);
            let failure =
                if connection.asked_for_certificate { for_want_of_certificate(failure) } else { failure };
            Err(match unsent {
                Some(request) => Unanswered::NotSent(Box::new(request), failure),
                None => Unanswered::Failed(failure),
            })
        }
    }
}

/// The signal is given when an endpoint sends more interim answers than any honest one.
fn count_interim_answers(request: &mut Request<Full<Bytes>>) -> Arc<Notify> {
    let signal = Arc::new(Notify::new());
    let (raised, seen) = (Arc::clone(&signal), AtomicU32::new(0));
    hyper::ext::on_informational(request, move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) >= limits::INTERIM_ANSWERS_MAX {
            raised.notify_one();
        }
    });
    signal
}

/// What an error of the exchange means to a person.
fn failure(error: &hyper::Error, message: &Message) -> Failure {
    let host = host(message);
    if error.is_parse_too_large() {
        return Failure::Protocol { host, reason: ProtocolFailure::HeadersTooLarge };
    }
    if error.is_parse_version_h2() {
        return Failure::Protocol { host, reason: ProtocolFailure::Http2 };
    }
    if error.is_parse() {
        return Failure::Protocol { host, reason: ProtocolFailure::NotHttp };
    }
    if error.is_user() {
        return Failure::Protocol { host, reason: ProtocolFailure::Unsendable };
    }
    let Some(io) = error.source().and_then(|source| source.downcast_ref::<io::Error>()) else {
        return Failure::Protocol { host, reason: ProtocolFailure::Closed };
    };
    // In TLS 1.3 the endpoint's refusal of the handshake may come only now.
    if let Some(error) = tls::rustls_error(io) {
        return Failure::Tls { host, reason: tls::failure(error) };
    }
    let reason = match io.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            ProtocolFailure::Reset
        }
        _ => ProtocolFailure::Closed,
    };
    Failure::Protocol { host, reason }
}

/// In TLS 1.3 an endpoint that wants a certificate refuses after the handshake, when the request is on its way: the cut may be faster
/// than the word that says why.
fn for_want_of_certificate(failure: Failure) -> Failure {
    match failure {
        Failure::Protocol { host, reason: ProtocolFailure::Closed | ProtocolFailure::Reset }
        | Failure::Tls { host, reason: TlsFailure::Alert(_) } => {
            Failure::Tls { host, reason: TlsFailure::ClientCertificateWanted }
        }
        other => other,
    }
}

fn host(message: &Message) -> String {
    message.url.host_str().unwrap_or_default().to_owned()
}

/// Keeps the connection of an answer whose body nobody needs, if the body ends soon; without waiting for it.
pub(super) fn discard(answer: Answer, pool: Option<&Pool>) {
    let Some(pool) = pool.cloned() else { return };
    let Answer { response, connection } = answer;
    let mut body = response.into_body();
    if body.is_end_stream() {
        pool.give_back(connection);
        return;
    }
    tokio::spawn(async move {
        let drained = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > limits::DRAIN_BYTES_MAX {
                    break;
                }
            }
            body.is_end_stream()
        };
        if timeout(limits::DRAIN_DURATION_MAX, drained).await == Ok(true) {
            pool.give_back(connection);
        }
    });
}
