//! What is measured, as a process of its own: callhook on a store of its own, or the bare pipeline.

use crate::client::{API_KEY, Connection};
use crate::receiver::Receiver;
use crate::{Failure, Outcome};
use http::Method;
use procfs::process::Process;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// Time in which a program has to be ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Time that a graceful stop may take.
const STOP_WITHIN: Duration = Duration::from_mins(1);

/// A running program.
pub struct Program {
    child: Child,
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start until it was ready.
    pub ready_after: Duration,
    /// Its data folder; the bare pipeline has none.
    folder: PathBuf,
}

impl Program {
    /// The bare pipeline.
    pub async fn bare(forward: Option<&Receiver>) -> Outcome<Self> {
        let mut arguments: Vec<OsString> = vec!["bare".into(), "--listen".into()];
        let address = free_address()?;
        arguments.push(address.to_string().into());
        if let Some(receiver) = forward {
            arguments.extend(["--forward".into(), receiver.url().into()]);
        }
        Self::start(&std::env::current_exe()?, arguments, address, Stdio::null()).await
    }

    /// callhook on the store in this folder, or where the flags say.
    pub async fn callhook(binary: &Path, folder: &Path, flags: &[&str]) -> Outcome<Self> {
        let address = free_address()?;
        let mut arguments: Vec<OsString> =
            vec!["serve".into(), "--data-dir".into(), folder.into(), "--listen".into()];
        arguments.push(address.to_string().into());
        arguments.extend(["--allow-network=127.0.0.0/8", "--bootstrap-api-key", API_KEY].map(Into::into));
        arguments.extend(flags.iter().map(Into::into));
        let log = File::options().create(true).append(true).open(folder.with_extension("log"))?;
        let program = Self::start(binary, arguments, address, log.into()).await?;
        Ok(Self { folder: folder.to_owned(), ..program })
    }

    /// Where the first user is made: path and token of the link that the program has written.
    pub fn setup_link(&self) -> Outcome<String> {
        let link = std::fs::read_to_string(self.folder.join("setup-link"))?;
        let path = link.trim().split_once("/setup/").map(|(_, token)| format!("/setup/{token}"));
        path.ok_or_else(|| Failure::new("the link for the first user has no token"))
    }

    async fn start(
        binary: &Path,
        arguments: Vec<OsString>,
        address: SocketAddr,
        log: Stdio,
    ) -> Outcome<Self> {
        let started = Instant::now();
        let mut command = Command::new(binary);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CALLHOOK_") {
                command.env_remove(name);
            }
        }
        let child = command
            .spawn()
            .map_err(|error| Failure::new(format!("cannot run {}: {error}", binary.display())))?;
        let process = child.id().and_then(|id| Process::new(i32::try_from(id).ok()?).ok());
        let process = process.ok_or_else(|| Failure::new(format!("{} ended at once", binary.display())))?;
        let folder = PathBuf::new();
        let mut program = Self { child, process, address, ready_after: Duration::ZERO, folder };
        while !program.is_ready().await {
            if let Some(status) = program.child.try_wait()? {
                return Err(Failure::new(format!("{} ended: {status}", binary.display())));
            }
            if started.elapsed() > READY_WITHIN {
                return Err(Failure::new(format!(
                    "{} is not ready after {READY_WITHIN:?}",
                    binary.display()
                )));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        program.ready_after = started.elapsed();
        Ok(program)
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut connection) = Connection::open(self.address).await else { return false };
        connection.get("/readyz").await.is_ok_and(|(status, _)| status.is_success())
    }

    /// CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        cpu_time(self.process.stat().map_or(0, |stat| stat.utime + stat.stime))
    }

    /// What it counts under this name, all labels together; none where it does not count that.
    pub async fn counted(&self, metric: &str) -> Outcome<Option<f64>> {
        let (_, page) = Connection::open(self.address).await?.get("/metrics").await?;
        Ok(total(&String::from_utf8_lossy(&page), metric))
    }

    /// Memory that it holds, in megabytes.
    pub fn rss_mb(&self) -> f64 {
        let kilobytes = self.process.status().ok().and_then(|status| status.vmrss).unwrap_or(0);
        megabytes(kilobytes)
    }

    /// The most memory that it ever held, in megabytes.
    pub fn rss_peak_mb(&self) -> f64 {
        let kilobytes = self.process.status().ok().and_then(|status| status.vmhwm).unwrap_or(0);
        megabytes(kilobytes)
    }

    /// Makes a call flow; `webhook` is its post-call webhook.
    pub async fn flow(&self, webhook: Option<Value>) -> Outcome<String> {
        let mut flow = json!({"name": "Google Ads", "source": "google_ads"});
        if let Some(webhook) = webhook {
            flow["post_call_webhook"] = webhook;
        }
        let mut connection = Connection::open(self.address).await?;
        let made = connection.data(Method::POST, "/call-flows", &flow).await?;
        Ok(made["call_flow"]["id"].as_str().unwrap_or_default().to_owned())
    }

    /// A flow whose webhook is this receiver.
    pub async fn flow_to(&self, url: &str) -> Outcome<String> {
        self.flow(Some(json!({"enabled": true, "url": url}))).await
    }

    /// Ends it as an operator would.
    pub async fn stop(mut self) -> Outcome<()> {
        if let Some(id) = self.child.id() {
            let kill = Command::new("kill").arg(id.to_string()).status().await?;
            if !kill.success() {
                return Err(Failure::new("the program could not be told to stop"));
            }
        }
        tokio::time::timeout(STOP_WITHIN, self.child.wait())
            .await
            .map_err(|_| Failure::new(format!("the program did not stop within {STOP_WITHIN:?}")))??;
        Ok(())
    }

    /// Ends it at once.
    pub async fn kill(mut self) -> Outcome<()> {
        Ok(self.child.kill().await?)
    }
}

/// So many of the kernel's ticks.
pub fn cpu_time(ticks: u64) -> Duration {
    Duration::from_secs(ticks) / u32::try_from(procfs::ticks_per_second()).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of memory")]
fn megabytes(kilobytes: u64) -> f64 {
    kilobytes as f64 / 1_024.0
}

/// The samples of a metric on a page, added up.
fn total(page: &str, metric: &str) -> Option<f64> {
    let samples = page.lines().filter_map(|line| line.strip_prefix(metric));
    let samples = samples.filter(|rest| rest.starts_with([' ', '{']));
    samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).reduce(|sum, sample| sum + sample)
}

fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_its_samples_added_up() {
        let page =
            "# TYPE a counter\na_total{kind=\"x\"} 2\na_total{kind=\"y\"} 3\na_total_more 9\nb_total 7\n";
        let found = ["a_total", "b_total", "a", "c_total"].map(|metric| total(page, metric));
        assert_eq!(found, [Some(5.0), Some(7.0), None, None]);
    }
}
