//! How a connection is made: with TLS or without it, with the session's settings or without them.

use super::address::Address;
use super::failure::{may_be_for_encryption, telling};
use super::session::Session;
use futures_util::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Whether it was said that connections are made in clear which were to be encrypted.
static TOLD_OF_CLEAR: Once = Once::new();

/// Connects, and says whether the session was asked for. What the server warns of later sets `warned`.
pub async fn connect(
    address: &Address,
    session: &Session,
    warned: &Arc<AtomicBool>,
) -> Result<(Client, bool), tokio_postgres::Error> {
    let (error, other) = match (connect_to(&address.config, address, session, warned).await, &address.or_else)
    {
        (Err(error), Some(other)) if may_be_for_encryption(&error) => (error, other),
        (connected, _) => return connected,
    };
    let is_clear = other.get_ssl_mode() == SslMode::Disable;
    match connect_to(other, address, session, warned).await {
        Ok(connected) => {
            if is_clear {
                TOLD_OF_CLEAR.call_once(|| {
                    tracing::warn!(%error, "The database is connected without TLS, since it was not with it");
                });
            }
            Ok(connected)
        }
        Err(second) => Err(telling(error, second, is_clear)),
    }
}

/// Connects in one way, and says whether the session was asked for: a pooler may let nobody ask.
async fn connect_to(
    config: &Config,
    address: &Address,
    session: &Session,
    warned: &Arc<AtomicBool>,
) -> Result<(Client, bool), tokio_postgres::Error> {
    let options = [config.get_options().unwrap_or_default(), &session.options()].join(" ");
    let (connected, is_set_up) = match config.clone().options(options).connect(address.tls.clone()).await {
        Err(error) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => {
            (config.connect(address.tls.clone()).await?, false)
        }
        connected => (connected?, true),
    };
    let (client, connection) = connected;
    drive::<MakeRustlsConnect>(connection, Arc::clone(warned));
    Ok((client, is_set_up))
}

/// Does the connection's input and output, and keeps in mind what the server warns of.
fn drive<T: MakeTlsConnect<Socket>>(
    connection: tokio_postgres::Connection<Socket, T::Stream>,
    warned: Arc<AtomicBool>,
) where
    T::Stream: Send + 'static,
{
    tokio::spawn(async move {
        let mut connection = pin!(connection);
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notice(notice))) => note_warning(&notice, &warned),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(%error, "A connection to the database ended");
                    return;
                }
                None => return,
            }
        }
    });
}

fn note_warning(notice: &DbError, warned: &AtomicBool) {
    // The word itself is in the server's language.
    if notice.parsed_severity() == Some(Severity::Warning) {
        tracing::warn!(message = notice.message(), "The database warns");
        warned.store(true, Ordering::Relaxed);
    }
}
