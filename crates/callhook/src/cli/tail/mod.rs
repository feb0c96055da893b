//! `callhook tail`: deliveries in the terminal, as they change.
//!
//! The server's stream gives hints: which delivery, and where it stands. Each is read for what a person wants to know. Where hints were
//! dropped, or the server was away, the list is read again from a minute before, and what was shown already is left out.

mod change;
mod client;
mod events;
mod filter;

use super::{Failure, block_on, say};
use crate::config::{Hidden, secret};
use crate::system::System;
use change::{Change, State};
use client::{Client, Unread};
use delivery::sender::FetchBody;
use domain::{Timestamp, World as _};
use events::{EventReader, ServerEvent};
use filter::Filter;
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// The first wait for a server that went away; it doubles with each failure.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest wait: whoever watches wants to see it come back.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How far back the list is read again: clocks differ, and commits are told of out of order.
const OVERLAP: Duration = Duration::from_mins(1);
/// Deliveries that are remembered as shown; at some 100 bytes each.
const SHOWN_MAX: usize = 10_000;

/// What `callhook tail` takes.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// Address of the server
    #[arg(long, env = "CALLHOOK_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// API key of the business, of any role
    #[arg(long, env = "CALLHOOK_API_KEY", value_name = "KEY", hide_env_values = true)]
    api_key: Option<Hidden>,
    /// File that holds the API key
    #[arg(long, env = "CALLHOOK_API_KEY_FILE", value_name = "FILE", conflicts_with = "api_key")]
    api_key_file: Option<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl Tail {
    /// Shows changes until Ctrl-C, or until nobody reads them.
    pub fn run(self) -> Result<(), Failure> {
        self.filter.check()?;
        let key = secret(self.api_key, self.api_key_file.as_deref())?.ok_or_else(|| {
            Failure::new("an API key is needed: name it with --api-key-file or CALLHOOK_API_KEY")
        })?;
        let client = Client::new(&self.url, &key)?;
        let mut view = View {
            client,
            server: client::shown(&self.url),
            filter: self.filter,
            json: self.json,
            shown: HashMap::new(),
            shown_order: VecDeque::new(),
            heard_at: None,
        };
        block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                followed = view.follow() => followed,
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
            }
        })
    }
}

/// What is shown, and of what.
struct View {
    client: Client,
    server: String,
    filter: Filter,
    json: bool,
    shown: HashMap<String, State>,
    shown_order: VecDeque<String>,
    /// When the server was last heard.
    heard_at: Option<Timestamp>,
}

/// Why it goes on no more, for now or at all.
enum Stop {
    /// What may be read later.
    Unread(Unread),
    /// Nobody reads what is printed.
    NobodyReads,
    /// It cannot be printed.
    Io(io::Error),
}

impl View {
    async fn follow(&mut self) -> Result<(), Failure> {
        let mut wait = RETRY_MIN;
        loop {
            let before = self.heard_at;
            let Err(stop) = self.session().await;
            let why = match stop {
                Stop::NobodyReads => return Ok(()),
                Stop::Io(error) => return Err(error.into()),
                Stop::Unread(Unread::Refused(why)) => {
                    return Err(Failure::new(format!("{}: {why}", self.server)));
                }
                Stop::Unread(Unread::Lost(why)) => why,
                Stop::Unread(Unread::Gone) => "what was asked for is not there".to_owned(),
            };
            if self.heard_at != before {
                wait = RETRY_MIN;
            }
            say(&format!("{} is lost and tried again: {why}", self.server));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// One connection, to its end.
    async fn session(&mut self) -> Result<Infallible, Stop> {
        let mut stream = self.client.stream().await?;
        if self.heard_at.is_some() {
            say(&format!("{} is back.", self.server));
            self.catch_up().await?;
        } else {
            say(&format!("listening to {}; Ctrl-C ends it.", self.server));
        }
        self.heard_at = Some(System.now());
        let (mut reader, mut events) = (EventReader::default(), Vec::new());
        while let Some(bytes) = next(&mut stream).await? {
            self.heard_at = Some(System.now());
            let foreign = |_| Unread::Refused("it answers, but not as callhook does: check --url".to_owned());
            reader.take(&bytes, &mut events).map_err(foreign)?;
            for event in events.drain(..) {
                self.hear(&event).await?;
            }
        }
        Err(Unread::Lost("it ended the stream".to_owned()).into())
    }

    async fn hear(&mut self, event: &ServerEvent) -> Result<(), Stop> {
        match &*event.name {
            "delivery" => {
                let Ok(hint) = serde_json::from_str::<Value>(&event.data) else { return Ok(()) };
                self.show(hint["delivery_id"].as_str().unwrap_or_default(), &hint).await
            }
            "lagged" => self.catch_up().await,
            _ => Ok(()),
        }
    }

    /// Reads the newest deliveries again, and shows what was not shown.
    async fn catch_up(&mut self) -> Result<(), Stop> {
        let since = self.heard_at.unwrap_or_else(|| System.now()).before(OVERLAP);
        say(&format!(
            "changes may have been missed; deliveries made since {since} are read again, older ones are not."
        ));
        let since = client::query(&since.to_rfc3339_millis());
        let page = self.client.data(&format!("/webhook-deliveries?limit=500&since={since}")).await?;
        if !page["next_cursor"].is_null() {
            say("there are more than 500 of them; the newest are shown.");
        }
        for row in page["webhook_deliveries"].as_array().into_iter().flatten().rev() {
            let id = row["id"].as_str().unwrap_or_default();
            if self.shown.get(id) != Some(&State::of(row)) {
                self.show(id, row).await?;
            }
        }
        Ok(())
    }

    /// Shows the state that a hint or a row tells of, if it is wanted.
    async fn show(&mut self, id: &str, told: &Value) -> Result<(), Stop> {
        let state = State::of(told);
        if !self.filter.may_pass(told, &state) {
            return Ok(());
        }
        let delivery = match self.client.data(&format!("/webhook-deliveries/{id}")).await {
            // Erased meanwhile.
            Err(Unread::Gone) => return Ok(()),
            read => read?["webhook_delivery"].take(),
        };
        self.remember(id, state.clone());
        let change = Change::of(&delivery, state, System.now());
        if self.filter.passes(&change) { self.print(&change) } else { Ok(()) }
    }

    fn remember(&mut self, id: &str, state: State) {
        if self.shown.insert(id.to_owned(), state).is_some() {
            return;
        }
        self.shown_order.push_back(id.to_owned());
        if self.shown_order.len() > SHOWN_MAX
            && let Some(oldest) = self.shown_order.pop_front()
        {
            self.shown.remove(&oldest);
        }
    }

    fn print(&self, change: &Change) -> Result<(), Stop> {
        // Cannot fail: plain data with string keys.
        let line = if self.json { serde_json::to_string(change).unwrap_or_default() } else { change.line() };
        let mut out = io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stop::NobodyReads),
            Err(error) => Err(Stop::Io(error)),
        }
    }
}

/// The next bytes; `None`: the stream ended.
async fn next(stream: &mut FetchBody) -> Result<Option<bytes::Bytes>, Unread> {
    loop {
        match stream.frame().await {
            None => return Ok(None),
            Some(Err(failure)) => return Err(Unread::Lost(failure.words())),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

impl From<Unread> for Stop {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}
