//! The server's own address, as others reach it.

use super::findings::{Findings, Level};
use crate::admin::Condition;
use crate::config::Config;
use crate::network::operators_sender;
use delivery::sender::Fetch;
use domain::failure::Failure as Reason;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Limited};
use std::time::Duration;
use url::{Host, Url};

const CHECK: &str = "public address";
const IN_USE: &str = "settings in use";

/// How long the server's own address may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that are read of an answer: callhook's own has some 100.
const ANSWER_BYTES_MAX: usize = 4_096;

/// Looks at the address under which others reach the server.
pub async fn look(config: &Config, running: Option<&Condition>, findings: &mut Findings) {
    let text = match running {
        Some(condition) => condition.public_url.clone(),
        None => config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen)),
    };
    let given = config.public_url.as_ref().filter(|given| running.is_some() && **given != text);
    if let Some(given) = given {
        findings.warning(
            IN_USE,
            format!("the server that runs has {text} and not {given}: that is what is looked at; restart it with the settings it is to have"),
        );
    }
    let Ok(url) = Url::parse(&text) else {
        findings.fault(CHECK, format!("{text} is no address: give --public-url as https://host"));
        return;
    };
    let (level, reached) = match running {
        Some(_) => reach(&text, config).await,
        None => (Level::Ok, "was not tried, since no server takes calls".to_owned()),
    };
    match unfit(&url) {
        Some(unfit) => {
            findings.add(CHECK, level.max(Level::Warning), format!("{text} {reached}. It {unfit}"));
        }
        None => findings.add(CHECK, level, format!("{text} {reached}")),
    }
}

/// What is to be said against an address even if it leads to the server.
fn unfit(url: &Url) -> Option<&'static str> {
    if is_loopback(url) {
        Some(
            "is this machine's own: phone systems cannot reach it, and recording links work here only; set --public-url",
        )
    } else if url.scheme() == "http" {
        Some(
            "is not encrypted: put a proxy with TLS before callhook, and set --public-url to its https address",
        )
    } else {
        None
    }
}

/// Where the address leads.
async fn reach(text: &str, config: &Config) -> (Level, String) {
    match answers_as_callhook(text).await {
        Ok(true) => (Level::Ok, "leads to a callhook".to_owned()),
        Ok(false) => (
            Level::Fault,
            format!(
                "leads to something else than callhook: let the proxy pass /api/v1 on to {}",
                config.listen
            ),
        ),
        // A router may keep a machine from its own public address.
        Err(reason @ (Reason::Connect { .. } | Reason::Timeout { .. })) => (
            Level::Warning,
            format!("cannot be reached from here; if others can reach it, all is well. {}", reason.words()),
        ),
        Err(reason) => (Level::Fault, format!("cannot be reached. {}", reason.words())),
    }
}

async fn answers_as_callhook(base: &str) -> Result<bool, Reason> {
    // What every proxy in front has to pass on. Without a key it is refused, in callhook's own words.
    let Ok(url) = Url::parse(&format!("{base}/api/v1/business")) else { return Ok(false) };
    let fetch = Fetch { url, headers: HeaderMap::new(), authorization: None };
    let fetched = operators_sender(ANSWER_WITHIN).fetch(&fetch).await?;
    let is_refused = fetched.status == 401;
    let body = Limited::new(fetched.body, ANSWER_BYTES_MAX).collect().await;
    let answer =
        body.ok().and_then(|body| serde_json::from_slice::<serde_json::Value>(&body.to_bytes()).ok());
    Ok(is_refused && answer.is_some_and(|answer| answer["error"]["code"] == "unauthorized"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(v4)) => v4.is_loopback() || v4.is_unspecified(),
        Some(Host::Ipv6(v6)) => v6.is_loopback() || v6.is_unspecified(),
        None => false,
    }
}
