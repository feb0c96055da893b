//! A call flow's endpoint, as a delivery would reach it.
//!
//! No call is sent, and the webhook's own path is left alone: some hooks take any request to it for a call. What is asked for is the
//! root of its host, over the same guard, name system and encryption.

use super::findings::{Findings, Level};
use crate::config::Config;
use delivery::sender::{AddressGuard, Fetch, Sender, SenderConfig};
use domain::destination::DestinationUrl;
use domain::failure::Failure as Reason;
use domain::id::CallFlowId;
use http::HeaderMap;
use store::backup::{self, Endpoint};

const CHECK: &str = "call flow";

/// Looks at it.
pub async fn look(config: &Config, call_flow: CallFlowId, findings: &mut Findings) {
    let of = config.clone();
    // Whoever reads a store waits for it.
    let target = tokio::task::spawn_blocking(move || target(&of, call_flow));
    let (level, text) = match target.await.unwrap_or_else(|error| Err((Level::Fault, error.to_string()))) {
        Ok((name, url)) => reach(config, &name, &url).await,
        Err(found) => found,
    };
    findings.add(CHECK, level, text);
}

/// The flow's name and address; or what there is to say instead.
fn target(config: &Config, call_flow: CallFlowId) -> Result<(String, DestinationUrl), (Level, String)> {
    let found = match &config.database {
        Some(database) => backup::database_endpoint(database, call_flow).map_err(|error| error.to_string()),
        None => backup::endpoint(&config.data_dir.join(store::engine::sqlite::FILE_NAME), call_flow)
            .map_err(|error| error.to_string()),
    };
    match found {
        Ok(Some(Endpoint { call_flow, enabled: true, url: Some(url) })) => Ok((call_flow, url)),
        Ok(Some(Endpoint { call_flow, url: Some(_), .. })) => Err((
            Level::Warning,
            format!("the webhook of {call_flow:?} is switched off: its calls are sent nowhere"),
        )),
        Ok(Some(Endpoint { call_flow, .. })) => {
            Err((Level::Warning, format!("{call_flow:?} has no webhook: its calls are sent nowhere")))
        }
        Ok(None) => Err((
            Level::Fault,
            format!("there is no call flow {call_flow}: see GET /api/v1/call-flows for the ids"),
        )),
        Err(error) => Err((Level::Fault, error)),
    }
}

async fn reach(config: &Config, name: &str, url: &DestinationUrl) -> (Level, String) {
    let guard = AddressGuard::new(config.allow_networks.clone());
    let sender =
        Sender::new(SenderConfig { deadline: config.response_timeout, ..SenderConfig::from_system(guard) });
    let mut root = url.as_url().clone();
    root.set_path("/");
    root.set_query(None);
    let host = root.host_str().unwrap_or_default().to_owned();
    let how = if root.scheme() == "https" { "encrypted" } else { "not encrypted" };
    match sender.fetch(&Fetch { url: root, headers: HeaderMap::new(), authorization: None }).await {
        // Whatever it says at another path than the webhook's, it answers.
        Ok(_)
        | Err(Reason::RedirectLimit { .. } | Reason::RedirectRefused { .. } | Reason::Status { .. }) => (
            Level::Ok,
            format!(
                "the endpoint of {name:?} at {host} answers, {how}; its path was not tried, a test webhook does that"
            ),
        ),
        Err(reason) => {
            (Level::Fault, format!("the endpoint of {name:?} would not get calls. {}", reason.words()))
        }
    }
}
