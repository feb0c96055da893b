//! The table of failures in words: what happened, what it usually means, what to do.

use super::{
    ConnectFailure, DnsFailure, Failure, Phase, ProtocolFailure as Protocol, RedirectRefusal, TlsFailure,
};
use crate::time::Timestamp;
use std::time::Duration;

/// The words of a failure.
pub(super) fn words(failure: &Failure) -> String {
    match failure {
        Failure::Status { status, retry_at } => status_words(*status, *retry_at),
        Failure::Timeout { host, limit, phase, connected_in } => {
            timeout_words(host, *limit, *phase, *connected_in)
        }
        Failure::Dns { host, reason } => dns_words(host, *reason),
        Failure::Connect { host, port, reason } => connect_words(host, *port, *reason),
        Failure::Tls { host, reason } => tls_words(host, reason),
        Failure::RedirectLimit { last, circle: true, .. } => format!(
            "The address redirects in a circle: {last} leads back to where the attempt had been. \
             The endpoint's owner must mend it, or give the address at which it really takes webhooks."
        ),
        Failure::RedirectLimit { redirects, last, circle: false } => format!(
            "The address leads on and on ({redirects} redirects, the last one to {last}). \
             Use the address at which they end instead."
        ),
        Failure::RedirectRefused { host, reason } => redirect_words(host, *reason),
        Failure::BlockedAddress { host, address, kind } => {
            let (address_text, kind_words) = (address.to_string(), kind.words());
            let written = host.trim_matches(['[', ']']);
            let what = if written == address_text {
                format!("{address_text} is {kind_words}: callhook sends nothing there.")
            } else {
                format!("{host} leads to {address_text}, {kind_words}: callhook sends nothing there.")
            };
            match kind.network_to_allow(*address) {
                Some(network) => {
                    format!("{what} If that is meant, start callhook with `--allow-network {network}`.")
                }
                None => format!("{what} Give the endpoint's public address."),
            }
        }
        Failure::Protocol { host, reason } => protocol_words(host, *reason),
    }
}

fn status_words(status: u16, retry_at: Option<Timestamp>) -> String {
    let told = retry_at.map(|until| {
        format!(
            " It asked to wait until {}; before a next attempt, callhook grants up to 15 minutes.",
            moment(until)
        )
    });
    let told = told.unwrap_or_default();
    match status {
        300..=399 => format!(
            "The endpoint redirects ({status}) without an address that can be followed. \
             Copy the URL again from where it was made, or give the address behind the redirect."
        ),
        400 | 422 => format!(
            "The endpoint refused the data ({status}). It expects another format: compare the body that was sent \
             with what it asks for. Slack needs the Slack format."
        ),
        401 | 403 => format!(
            "The endpoint refused access ({status}). Check the custom headers: a token may be missing or expired."
        ),
        404 | 410 => format!(
            "There is no such address ({status}). The URL is mistyped, or the hook was deleted: \
             copy it again from where it was made."
        ),
        405 => "The address does not take POST (405). It is probably the address of a page, not of a webhook: \
                look for the webhook's own URL."
            .into(),
        406 | 415 => format!(
            "The endpoint does not take JSON ({status}). It expects another format: look up which one it asks for."
        ),
        407 => "A proxy in front of the endpoint asks for a password (407). \
                Its owner must let webhooks through, or give an address that is reached directly."
            .into(),
        408 => "The endpoint gave up waiting for the request (408). It, or the way to it, is overloaded; \
                a later attempt may succeed."
            .into(),
        409 => "The endpoint says that the data conflicts with what it has (409). It probably has this call already: \
                look there before sending it again."
            .into(),
        411 | 421 | 431 => format!(
            "The endpoint does not take requests of this form ({status}). Check the URL's host, \
             and leave out custom headers that are not needed."
        ),
        413 => "The body was too large for the endpoint (413). Leave the transcript out for this destination, \
                or let the endpoint take larger bodies."
            .into(),
        429 => format!("The endpoint asks for fewer requests (429).{told} If it stays so, raise its limit."),
        503 => format!(
            "The endpoint is up but refuses work (503). Nothing is wrong with the data.{told} \
             A later attempt may succeed; if it stays so, ask the endpoint's owner."
        ),
        502 | 504 => format!(
            "What stands in front of the endpoint could not reach it ({status}). The server behind it is down or slow; \
             nothing is wrong with the data, and a later attempt may succeed."
        ),
        500..=599 => format!(
            "The endpoint has an error of its own ({status}). Nothing is wrong with the data; a later attempt may succeed. \
             If it stays so, its owner finds the cause in its log."
        ),
        400..=499 => format!(
            "The endpoint refused the request ({status}). Its answer may say why; check the URL and the custom headers."
        ),
        _ => format!(
            "The endpoint answered with {status}, which says neither yes nor no to a webhook. \
             Is it the address of a webhook? It should answer 200."
        ),
    }
}

fn timeout_words(host: &str, limit: Duration, phase: Phase, connected_in: Option<Duration>) -> String {
    let limit = span(limit);
    match phase {
        Phase::Dns => format!(
            "No answer within {limit} (stopped while asking for the address of {host}). \
             The name servers are slow or away: check this machine's DNS settings and those of the name."
        ),
        Phase::Connect => format!(
            "No answer within {limit} (stopped while connecting to {host}). \
             The server is down, or a firewall drops what comes in: check that it can be reached from outside."
        ),
        Phase::Tls => format!(
            "No answer within {limit} (stopped while agreeing on encryption with {host}). \
             The server is overloaded, or the port speaks something other than https."
        ),
        Phase::Wait => {
            let connected = connected_in.map(|time| format!(", after connecting in {}", span(time)));
            format!(
                "No answer within {limit} (stopped while waiting for the answer of {host}{}). \
                 The endpoint works too long before it answers: let it answer first and work afterwards.",
                connected.unwrap_or_default()
            )
        }
    }
}

fn dns_words(host: &str, reason: DnsFailure) -> String {
    match reason {
        DnsFailure::NoSuchName => {
            format!(
                "The name {host} does not exist. Is it spelled right? A name made just now may need some minutes."
            )
        }
        DnsFailure::NoAddress => format!(
            "The name {host} exists but has no address. Is a part missing in front (www, hooks)? \
             Else its owner must add an A or AAAA record."
        ),
        DnsFailure::InvalidName => {
            format!("{host} cannot be a host's name. Is it spelled right?")
        }
        DnsFailure::ServerFailed => format!(
            "The name servers could not say where {host} is. The name's DNS settings are broken or its servers are away; \
             a later attempt may succeed; its owner should check them."
        ),
        DnsFailure::NoAnswer => format!(
            "No name server answered when asked for {host}. Check this machine's network and its DNS settings \
             (/etc/resolv.conf)."
        ),
        DnsFailure::NoServer => format!(
            "{host} cannot be looked up: this machine names no DNS server. \
             Add one to /etc/resolv.conf and start callhook again."
        ),
    }
}

fn connect_words(host: &str, port: u16, reason: ConnectFailure) -> String {
    match reason {
        ConnectFailure::Refused => format!(
            "Nothing listens at {host}:{port} (connection refused). The server is down, or the port is wrong."
        ),
        ConnectFailure::Reset => format!(
            "{host}:{port} cut the connection at once (reset). A firewall or an overloaded server does that: \
             check that it lets this machine in."
        ),
        ConnectFailure::Unreachable => format!(
            "There is no way to {host}:{port} (network or host unreachable). Check this machine's network, \
             and whether the endpoint's address is right."
        ),
        ConnectFailure::NoAnswer => format!(
            "{host}:{port} does not answer at all. The server is down, or a firewall drops what comes in: \
             check that it can be reached from outside."
        ),
        ConnectFailure::Forbidden => format!(
            "This machine does not let callhook connect to {host}:{port} (not permitted). \
             Check its firewall and the limits of the service."
        ),
        ConnectFailure::Exhausted => format!(
            "This machine had no socket left to connect to {host}:{port}. \
             Raise the limit of open files for callhook (`ulimit -n`); a later attempt may succeed."
        ),
        ConnectFailure::Other(code) => {
            let code = code.map(|code| format!(" (system error {code})")).unwrap_or_default();
            format!(
                "No connection to {host}:{port} could be made{code}. Check that the server is up and can be reached."
            )
        }
    }
}

fn tls_words(host: &str, reason: &TlsFailure) -> String {
    match reason {
        TlsFailure::Expired { since } => {
            let since = since.map(|day| format!(" on {}", date(day))).unwrap_or_default();
            format!("The certificate of {host} expired{since}. Its owner must renew it.")
        }
        TlsFailure::NotYetValid { from } => {
            let from = from.map(|day| format!(" before {}", date(day))).unwrap_or_default();
            format!(
                "The certificate of {host} is not valid{from} yet. Its owner must mend it, or this machine's clock is wrong."
            )
        }
        TlsFailure::WrongName { names } if names.is_empty() => format!(
            "The certificate that {host} shows is for another name. Is the host's name right? Else its owner must mend it."
        ),
        TlsFailure::WrongName { names } => format!(
            "The certificate that {host} shows is for {}. Is the host's name right? Else its owner must mend it.",
            names.join(", ")
        ),
        TlsFailure::UnknownIssuer => format!(
            "Nobody whom this machine trusts signed the certificate of {host}: it is self-signed, from a private authority, \
             or sent without its intermediate. Its owner must mend it; a private authority can be named in `SSL_CERT_FILE`."
        ),
        TlsFailure::Revoked => {
            format!("The certificate of {host} was revoked. Its owner must get a new one.")
        }
        TlsFailure::BadCertificate => format!(
            "The certificate of {host} is broken or not one for a web server. Its owner must get a new one."
        ),
        TlsFailure::NotTls => format!(
            "The port at {host} does not speak https. Use http:// if that is meant, or the port that https is at (usually 443)."
        ),
        TlsFailure::NothingInCommon => format!(
            "{host} takes no encryption that is safe today (callhook needs TLS 1.2 or 1.3). Its owner must update the server."
        ),
        TlsFailure::ClientCertificateWanted => format!(
            "{host} asks for a client certificate, which callhook does not have. \
             Use an address that takes a token in a custom header instead."
        ),
        TlsFailure::NameNotServed => format!(
            "The server does not serve the name {host}. Is it spelled right? Else its owner must add it to the server."
        ),
        TlsFailure::Alert(alert) => format!(
            "{host} refused the encrypted connection ({alert}). Its owner finds the cause in the server's log."
        ),
        TlsFailure::Closed => format!(
            "{host} cut the connection while encryption was being agreed on. \
             The server or a firewall refuses it, or the port is not that of https."
        ),
        TlsFailure::Broken => format!(
            "{host} broke the rules of encryption (TLS). Its server, or something on the way to it, is faulty: ask its owner."
        ),
    }
}

fn redirect_words(host: &str, reason: RedirectRefusal) -> String {
    let (what, advice) = match reason {
        RedirectRefusal::Downgrade => (
            "from https to plain http, where anybody on the way could read the call",
            "Its owner must redirect to https; or give the final address.",
        ),
        RedirectRefusal::Scheme => (
            "to something that is neither http nor https",
            "Is it the address of a webhook? Give the final address.",
        ),
        RedirectRefusal::UserInfo => (
            "to an address with a user name or password in it",
            "Give the final address, and the password as a custom header.",
        ),
        RedirectRefusal::TooLong => {
            ("to an address of more than 2,048 characters", "Give the final address, or ask its owner.")
        }
    };
    format!("{host} redirects {what}: callhook does not follow. {advice}")
}

fn protocol_words(host: &str, reason: Protocol) -> String {
    match reason {
        Protocol::NotHttp => format!(
            "What came back from {host} was not HTTP. Is the port that of a web server, and is it http or https?"
        ),
        Protocol::Http2 => format!(
            "{host} answers in HTTP/2 without having been asked for it. Its server must take HTTP/1.1 there."
        ),
        Protocol::Closed => format!(
            "{host} closed the connection without a complete answer. The server behind the address probably crashed \
             while it worked: its owner finds the cause in its log."
        ),
        Protocol::Reset => format!(
            "{host} cut the connection before it answered (reset). The server crashed, or a firewall refuses the request."
        ),
        Protocol::HeadersTooLarge => format!(
            "{host} answered with more headers than callhook reads (100 headers, 16 KiB). \
             Is it the address of a webhook? Its owner must make the answer smaller."
        ),
        Protocol::TooManyInterim => format!(
            "{host} keeps sending interim answers (1xx) instead of a final one. Its server is faulty: ask its owner."
        ),
        Protocol::Unsendable => format!(
            "The request to {host} cannot be written in HTTP. Check the URL and the custom headers for odd characters."
        ),
    }
}

/// A span as people read it: milliseconds below a second.
fn span(span: Duration) -> String {
    let millis = span.as_millis();
    if millis >= 1_000 && millis.is_multiple_of(1_000) {
        format!("{} s", millis / 1_000)
    } else if millis >= 1_000 {
        format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
    } else {
        format!("{millis} ms")
    }
}

fn date(day: Timestamp) -> String {
    written(day, "%-d %B %Y")
}

fn moment(time: Timestamp) -> String {
    written(time, "%H:%M:%S UTC on %-d %B %Y")
}

fn written(time: Timestamp, form: &str) -> String {
    // Cannot fall back: a timestamp lies between 1970 and 9999, which jiff can write.
    let instant = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    instant.strftime(form).to_string()
}
