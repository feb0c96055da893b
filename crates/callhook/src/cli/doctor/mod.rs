//! `callhook doctor`: what is wrong and what to do, one line a check.
//!
//! It changes nothing and sends no call. The store is read in this process, whether or not a server runs; only the server itself knows
//! whether it takes calls, so it is asked.

mod address;
mod endpoint;
mod findings;
mod folder;
mod store;

use super::{Common, Failure, block_on};
use crate::admin::{self, Answer, Condition, Request};
use crate::config::Config;
use domain::id::CallFlowId;
use findings::Findings;
use std::time::Duration;

const SERVER: &str = "server";
const PROXY: &str = "proxy";
/// How long the server may take to answer: it writes to its store first.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What `callhook doctor` takes.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Also look at this call flow's endpoint, without sending it a call
    #[arg(long, value_name = "ID")]
    call_flow: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

impl Doctor {
    /// Looks at everything; a fault is a failure.
    pub fn run(self) -> Result<(), Failure> {
        let mut findings = Findings::default();
        match self.common.config() {
            Ok(config) => look(&config, self.call_flow.as_deref(), &mut findings)?,
            Err(failure) => findings.fault("settings", failure.to_string()),
        }
        findings.tell(self.json)
    }
}

fn look(config: &Config, call_flow: Option<&str>, findings: &mut Findings) -> Result<(), Failure> {
    let call_flow = call_flow.map(str::parse::<CallFlowId>).transpose();
    let call_flow = call_flow.map_err(|refused| Failure::new(refused.within("--call-flow").to_string()))?;
    findings.ok("settings", "they can be used");
    // A store in a database is there whether or not the folder is.
    let mut holder = None;
    if folder::look(&config.data_dir, findings) || config.database.is_some() {
        holder = store::look(config, findings)?;
    }
    block_on(async {
        let running = look_at_server(config, findings).await;
        if let Some(running) = &running {
            store::look_whether_in_use(config, holder.as_deref(), running, findings)?;
        }
        address::look(config, running.as_ref(), findings).await;
        if let Some(call_flow) = call_flow {
            endpoint::look(config, call_flow, findings).await;
        }
        Ok(())
    })
}

/// Asks the server that runs on the folder.
async fn look_at_server(config: &Config, findings: &mut Findings) -> Option<Condition> {
    let asked = admin::ask_running(&config.data_dir, &Request::Condition);
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Err(_) => findings.fault(SERVER, "it runs and does not answer: see its log"),
        Ok(None) => findings.warning(SERVER, "none runs on this folder"),
        Ok(Some(Err(error))) => {
            findings.fault(SERVER, format!("it runs and does not say that it takes calls: {error}"));
        }
        Ok(Some(Ok(Answer::Condition(condition)))) => {
            let own = env!("CARGO_PKG_VERSION");
            if condition.version == own {
                findings.ok(SERVER, format!("callhook {own} runs and takes calls"));
            } else {
                let version = &condition.version;
                findings.warning(
                    SERVER,
                    format!("callhook {version} runs and takes calls, but this is {own}: restart it"),
                );
            }
            look_at_proxy(&condition, findings);
            return Some(condition);
        }
        Ok(Some(Ok(_))) => {
            findings.fault(SERVER, "it is of another version and gave another answer: restart it");
        }
    }
    None
}

/// Says what people's requests have shown of a proxy in front.
fn look_at_proxy(condition: &Condition, findings: &mut Findings) {
    let Some(proxy) = condition.proxy_taken_for_everybody else { return };
    let mend = if proxy.is_loopback() {
        "have it set X-Forwarded-For"
    } else {
        "X-Forwarded-For is believed of a proxy on this machine alone, so have it connect to a loopback address"
    };
    findings.warning(
        PROXY,
        format!("the address of the one at {proxy} is taken for everybody's: who guesses passwords makes all others wait; {mend}"),
    );
}
