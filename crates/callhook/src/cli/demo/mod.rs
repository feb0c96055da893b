//! `callhook demo`: all of it alive within seconds, on a throw-away folder or in a schema of its own.
//!
//! A server, a receiver that sometimes fails, hangs and redirects, and some forty calls that come in through the public API and by
//! signed Twilio callbacks. Nothing is faked: what the table shows was read from the server's own API.

mod cast;
mod client;
mod receiver;
mod stage;
mod table;

use super::{Failure, block_on, print};
use crate::config::{Config, Hidden, LogFormat, database};
use crate::server::{Server, ServerError};
use client::Client;
use domain::retry::RetrySchedule;
use stage::Stage;
use std::path::Path;
use std::time::Duration;
use store::StoreError;
use store::engine::postgres::Database;
use table::Table;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Longer than every retry, time-out and fallback of the demo together.
const SETTLE_MAX: Duration = Duration::from_mins(1);
/// Not the server's: what the demo makes stays there.
const SCHEMA: &str = "callhook_demo";

/// What the demo can be told.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// End when everything is settled; the exit code is 0 only if every delivery ended as it had to
    #[arg(long)]
    once: bool,
    // Flags alone: the variables are set where a server runs, and its database is not for playing.
    /// PostgreSQL database that holds the store in place of the folder, as `postgres://USER@HOST/NAME`
    #[arg(long, value_name = "URL")]
    database_url: Option<Hidden>,
    /// Schema for the demo, in which nothing is yet; it stays [default: `callhook_demo`]
    #[arg(long, value_name = "NAME")]
    database_schema: Option<String>,
}

impl Demo {
    /// Plays the calls; without `--once` it serves on until Ctrl-C.
    pub fn run(self) -> Result<(), Failure> {
        let Self { once, database_url, database_schema } = self;
        let schema = database_schema.or_else(|| database_url.is_some().then(|| SCHEMA.to_owned()));
        block_on(Play { once, database: database(database_url, schema)? }.run())
    }
}

/// One run of the demo.
struct Play {
    once: bool,
    database: Option<Database>,
}

impl Play {
    async fn run(self) -> Result<(), Failure> {
        // Before the folder is made: it goes with the demo, however that ends.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let folder = tempfile::Builder::new().prefix("callhook-demo-").tempdir()?;
        tokio::select! {
            played = self.run_in(folder.path()) => played,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    }

    async fn run_in(&self, folder: &Path) -> Result<(), Failure> {
        let receiver = receiver::start().await?;
        let key = crate::app::api_key::new_key_text(&crate::system::System);
        let config = Config { database: self.database.clone(), ..config(folder, key.reveal())? };
        crate::logging::start(config.log_format, &config.log_level)?;
        let server = Server::start(config).await.map_err(|error| self.refusal(error))?;
        let base = server.base_url();
        let setup_link = server.setup_link().map(|link| link.reveal().to_owned());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let client = Client::new(&base, key.reveal());
        print(&format!("callhook listens on {base}, the receiver on {receiver}.\n"))?;
        if let Some(Database { schema, .. }) = &self.database {
            print(&format!(
                "The schema {schema} stays in the database: DROP SCHEMA {schema} CASCADE removes it.\n"
            ))?;
        }
        let verdict = perform(&client, &receiver).await?;
        if !self.once {
            print(&farewell(&base, key.reveal(), setup_link.as_deref()))?;
            return std::future::pending().await;
        }
        let _ = stop.send(());
        serving.await.map_err(|error| Failure::new(error.to_string()))??;
        verdict
    }

    /// Every demo has a key of its own: one that does not open the store has met another's.
    fn refusal(&self, error: ServerError) -> Failure {
        match (&self.database, error) {
            (Some(Database { schema, .. }), ServerError::Store(StoreError::WrongKey)) => {
                Failure::new(format!(
                    "the schema {schema} holds a store already: name another with --database-schema, or remove what an earlier demo left"
                ))
            }
            (_, error) => error.into(),
        }
    }
}

async fn perform(client: &Client, receiver: &str) -> Result<Result<(), Failure>, Failure> {
    let stage = Stage::set(client, receiver).await?;
    let mut table = Table::new(stage.flow_names());
    let cast = cast::calls();
    let total = cast.len();
    let playing = stage.play(client, cast);
    tokio::pin!(playing);
    let mut played = None;
    let mut refresh = tokio::time::interval(Duration::from_millis(200));
    let give_up = tokio::time::sleep(SETTLE_MAX);
    tokio::pin!(give_up);
    loop {
        tokio::select! {
            ended = &mut playing, if played.is_none() => played = Some(ended?),
            _ = refresh.tick() => {
                // Calls before deliveries: a call that arrives between the two readings shows with its delivery in the next round.
                let all_arrived = played.is_some() && stage.all_arrived(client, total).await?;
                let deliveries = client.list("/webhook-deliveries?limit=500", "webhook_deliveries").await?;
                table.show(&deliveries)?;
                if all_arrived && table.is_settled() {
                    break;
                }
            }
            () = &mut give_up => break,
        }
    }
    let expected = played.ok_or_else(|| Failure::new("the calls could not be played within a minute"))?;
    table.finish()?;
    summary(client, &expected).await
}

/// Says how everything ended, and whether it was as it had to be.
async fn summary(client: &Client, expected: &stage::Expected) -> Result<Result<(), Failure>, Failure> {
    let deliveries = client.list("/webhook-deliveries?limit=500", "webhook_deliveries").await?;
    let calls = client.list("/calls?limit=500", "calls").await?;
    let wrong = expected.compare(&calls, &deliveries);
    let count = |status: &str| deliveries.iter().filter(|delivery| delivery["status"] == status).count();
    let attempts: u64 = deliveries.iter().filter_map(|delivery| delivery["attempt_count"].as_u64()).sum();
    print(&format!(
        "\n{} calls, {} deliveries in {attempts} attempts: ✓ {} delivered, ✕ {} failed, {} cancelled; calls without a destination: {}.",
        calls.len(),
        deliveries.len(),
        count("delivered"),
        count("failed"),
        count("cancelled"),
        calls.len() - deliveries.len().min(calls.len()),
    ))?;
    for line in &wrong {
        print(&format!("✕ {line}"))?;
    }
    if wrong.is_empty() {
        print("✓ Every delivery ended as it had to.")?;
        return Ok(Ok(()));
    }
    Ok(Err(Failure::new(format!("{} deliveries did not end as they had to", wrong.len()))))
}

fn farewell(base: &str, key: &str, setup_link: Option<&str>) -> String {
    let dashboard = setup_link.unwrap_or(base);
    format!(
        "\nIt serves on until Ctrl-C. See it in a browser:\n\n{dashboard}\n\nOr try next:\n\n\
         curl -H 'Authorization: Bearer {key}' '{base}/api/v1/webhook-deliveries?status=failed'\n\
         curl -H 'Authorization: Bearer {key}' '{base}/api/v1/calls?qualified=true'\n\
         curl -H 'Authorization: Bearer {key}' -X POST -H 'Content-Type: application/json' \
         -d '{{\"filter\": {{\"status\": \"failed\"}}, \"dry_run\": true}}' '{base}/api/v1/webhook-deliveries/redeliver'\n"
    )
}

/// Short delays, so that a minute shows what takes hours.
fn config(folder: &Path, key: &str) -> Result<Config, Failure> {
    let schedule = RetrySchedule::new(vec![1, 2]).map_err(|refused| Failure::new(refused.reason))?;
    let loopback = "127.0.0.0/8".parse().map_err(|_| Failure::new("127.0.0.0/8 is no network"))?;
    let random: [u8; 32] = (&crate::system::System as &dyn domain::World).random();
    Ok(Config {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir: folder.to_owned(),
        database: None,
        public_url: None,
        allow_networks: vec![loopback],
        retry_schedule: schedule,
        response_timeout: Duration::from_secs(2),
        ai_fallback: Duration::from_secs(4),
        secret_key: Some(domain::secret::Secret::new(
            random.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
        )),
        previous_secret_keys: Vec::new(),
        bootstrap_api_key: Some(domain::secret::Secret::new(key)),
        otlp: None,
        log_format: LogFormat::Text,
        log_level: "error".to_owned(),
    })
}
