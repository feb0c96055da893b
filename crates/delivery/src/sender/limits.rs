//! Every bound of the sender, with its unit and its reason.

use std::time::Duration;

/// From an attempt's start to the final status: DNS, connecting, TLS and redirects included (product, "Sending").
pub const ATTEMPT_DURATION_MAX: Duration = Duration::from_secs(10);
/// How much longer the first bytes of the body may take, so that an attempt ends within 10.25 s.
pub const BODY_GRACE: Duration = Duration::from_millis(150);
/// What is kept of an answer's body (product, "Sending").
pub const EXCERPT_BYTES_MAX: usize = 4_096;
/// Redirects that are followed (product, "Sending").
pub const REDIRECTS_MAX: usize = 3;
/// Characters of a redirect's address: as many as a destination's.
pub const LOCATION_CHARS_MAX: usize = domain::limits::URL_CHARS_MAX;

/// Buffer of a connection, and so the bound of an answer's headers in bytes: most servers send below 2 KiB, none needs more.
pub const CONNECTION_BUFFER_BYTES_MAX: usize = 16 * 1_024;
/// Headers of an answer that are read; hyper keeps this many places for each answer.
pub const RESPONSE_HEADERS_READ_MAX: usize = 100;
/// Headers of an answer that are kept for the log.
pub const RESPONSE_HEADERS_KEPT_MAX: usize = 50;
/// Bytes of each of their values.
pub const RESPONSE_HEADER_VALUE_BYTES_MAX: usize = 1_024;
/// Interim answers (1xx) that are skipped: servers send one, some two.
pub const INTERIM_ANSWERS_MAX: u32 = 16;

/// Addresses of a name that are tried.
pub const ADDRESSES_TRIED_MAX: usize = 8;
/// Names of a wrong certificate that are told.
pub const CERTIFICATE_NAMES_MAX: usize = 3;

/// Idle connections to one origin.
pub const IDLE_CONNECTIONS_PER_ORIGIN_MAX: usize = 64;
/// Idle connections in all: some 10 MB with TLS.
pub const IDLE_CONNECTIONS_MAX: usize = 256;
/// How long a connection may stay idle whose server does not say how long it keeps it: common servers close after 5 s and more. We
/// close first, since a request that meets the closing is a failed attempt.
pub const IDLE_DURATION_UNTOLD: Duration = Duration::from_secs(4);
/// How long it may stay idle at most, whatever its server says.
pub const IDLE_DURATION_MAX: Duration = Duration::from_secs(30);
/// How much before a server's own time we close.
pub const IDLE_MARGIN: Duration = Duration::from_secs(1);
/// How long a connection is used at all, so that an endpoint that moved is looked up again.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_mins(5);
/// What is read of a redirect's body to use its connection again.
pub const DRAIN_BYTES_MAX: usize = 16 * 1_024;
/// How long that, or the end of a request's sending, may take.
pub const DRAIN_DURATION_MAX: Duration = Duration::from_secs(1);

/// How long the body of a fetched recording may be silent.
pub const FETCH_IDLE_MAX: Duration = Duration::from_secs(30);

const _: () = assert!(ATTEMPT_DURATION_MAX.as_millis() + BODY_GRACE.as_millis() < 10_250);
const _: () = assert!(CONNECTION_BUFFER_BYTES_MAX >= 8_192, "hyper takes no smaller buffer");
