//! Settings: a flag, a `CALLHOOK_*` variable and a line of a TOML file with one name, in this order of precedence.

use crate::telemetry::trace::OtlpConfig;
use clap::Args;
use domain::retry::RetrySchedule;
use domain::secret::Secret;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use store::Place;
use store::engine::postgres::Database;
use url::Url;

/// Characters of a secret key at the least.
const SECRET_KEY_CHARS_MIN: usize = 32;
/// The file of a secret key that was made in the data folder.
pub const SECRET_KEY_FILE: &str = "secret.key";

/// Settings as they were given; what was not given is `None`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "CALLHOOK_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Folder that holds the embedded store, and the secret key that is made [default: ./callhook-data]
    #[arg(long, env = "CALLHOOK_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// PostgreSQL database that holds the store in place of the folder, as `postgres://USER@HOST/NAME`
    #[arg(long, env = "CALLHOOK_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<Hidden>,
    /// Schema of the database that holds the tables; made where it is not there [default: callhook]
    #[arg(long, env = "CALLHOOK_DATABASE_SCHEMA", value_name = "NAME")]
    pub database_schema: Option<String>,
    /// Address under which others reach this server: recording links and phone systems' signatures hang on it
    /// [default: `http://` and the listen address]
    #[arg(long, env = "CALLHOOK_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<Url>,
    /// Network that webhooks may be sent to although it is not public, such as 10.0.3.0/24 (repeatable)
    #[arg(long, env = "CALLHOOK_ALLOW_NETWORK", value_name = "CIDR", value_delimiter = ',')]
    pub allow_network: Option<Vec<IpNet>>,
    /// Delays before the second, third … attempt [default: 30s,2m]
    #[arg(long, env = "CALLHOOK_RETRY_DELAYS", value_name = "DURATIONS", value_delimiter = ',')]
    pub retry_delays: Option<Vec<Span>>,
    /// Time in which a webhook's endpoint must answer [default: 10s]
    #[arg(long, env = "CALLHOOK_RESPONSE_TIMEOUT", value_name = "DURATION")]
    pub response_timeout: Option<Span>,
    /// Time after a call's end at which it is sent even if AI is not done [default: 5m]
    #[arg(long, env = "CALLHOOK_AI_FALLBACK", value_name = "DURATION")]
    pub ai_fallback: Option<Span>,
    /// Text of at least 32 characters that secrets at rest are sealed with [default: made once, kept in the data folder]
    #[arg(long, env = "CALLHOOK_SECRET_KEY", value_name = "TEXT", hide_env_values = true)]
    pub secret_key: Option<Hidden>,
    /// File that holds the secret key
    #[arg(long, env = "CALLHOOK_SECRET_KEY_FILE", value_name = "FILE", conflicts_with = "secret_key")]
    pub secret_key_file: Option<PathBuf>,
    /// Secret key used before, so that what it sealed still opens (repeatable, newest first)
    #[arg(
        long,
        env = "CALLHOOK_PREVIOUS_SECRET_KEY",
        value_name = "TEXT",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub previous_secret_key: Option<Vec<Hidden>>,
    /// API key (`ch_key_` and 43 characters) to make sure of: makes the business `default` with this admin key
    #[arg(long, env = "CALLHOOK_BOOTSTRAP_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub bootstrap_api_key: Option<Hidden>,
    /// File that holds the bootstrap API key
    #[arg(
        long,
        env = "CALLHOOK_BOOTSTRAP_API_KEY_FILE",
        value_name = "FILE",
        conflicts_with = "bootstrap_api_key"
    )]
    pub bootstrap_api_key_file: Option<PathBuf>,
    /// OpenTelemetry collector that takes traces over OTLP/HTTP, such as `http://127.0.0.1:4318` [default: none]
    #[arg(long, env = "CALLHOOK_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<Url>,
    /// Share of the calls whose traces are taken, from 0 to 1 [default: 1]
    #[arg(long, env = "CALLHOOK_OTLP_SAMPLE_RATIO", value_name = "RATIO")]
    pub otlp_sample_ratio: Option<f64>,
    /// Form of the log [default: text]
    #[arg(long, env = "CALLHOOK_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, or a filter such as `info,callhook::network=debug` [default: info]
    #[arg(long, env = "CALLHOOK_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// A duration as `1500ms`, `30s`, `2m`, `24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// A secret from the command line, which does not print itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub struct Hidden(pub Secret);

/// Settings with their defaults, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the embedded store lies, and what this machine keeps beside a database: the secret key, the socket for commands.
    pub data_dir: PathBuf,
    /// The database that holds the store in place of the folder.
    pub database: Option<Database>,
    /// Base of every own address, without a slash at the end; `None`: made of the address that is listened on.
    pub public_url: Option<String>,
    /// Networks that are opened to webhooks.
    pub allow_networks: Vec<IpNet>,
    /// Delays where a flow has none of its own.
    pub retry_schedule: RetrySchedule,
    /// Time in which an endpoint must answer.
    pub response_timeout: Duration,
    /// Time after a call's end at which it is sent without AI.
    pub ai_fallback: Duration,
    /// Seals secrets; `None`: the one in the data folder.
    pub secret_key: Option<Secret>,
    /// Open what was sealed before.
    pub previous_secret_keys: Vec<Secret>,
    /// The key to make sure of.
    pub bootstrap_api_key: Option<Secret>,
    /// Where traces go.
    pub otlp: Option<OtlpConfig>,
    /// Form of the log.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
}

/// A setting that cannot be used, in one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Settings {
    /// Fills what was not given from a TOML file.
    pub fn or_file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError(format!("cannot read the configuration {}: {error}", path.display()))
        })?;
        let file: Self = toml::from_str(&text).map_err(|error| {
            ConfigError(format!("the configuration {} is wrong: {}", path.display(), one_line(&error)))
        })?;
        Ok(self.or(file))
    }

    fn or(self, other: Self) -> Self {
        // A key given as text overrides a file named further down, and the other way round.
        let (secret_key, secret_key_file) =
            first_pair((self.secret_key, self.secret_key_file), (other.secret_key, other.secret_key_file));
        let (bootstrap_api_key, bootstrap_api_key_file) = first_pair(
            (self.bootstrap_api_key, self.bootstrap_api_key_file),
            (other.bootstrap_api_key, other.bootstrap_api_key_file),
        );
        Self {
            listen: self.listen.or(other.listen),
            data_dir: self.data_dir.or(other.data_dir),
            database_url: self.database_url.or(other.database_url),
            database_schema: self.database_schema.or(other.database_schema),
            public_url: self.public_url.or(other.public_url),
            allow_network: self.allow_network.or(other.allow_network),
            retry_delays: self.retry_delays.or(other.retry_delays),
            response_timeout: self.response_timeout.or(other.response_timeout),
            ai_fallback: self.ai_fallback.or(other.ai_fallback),
            secret_key,
            secret_key_file,
            previous_secret_key: self.previous_secret_key.or(other.previous_secret_key),
            bootstrap_api_key,
            bootstrap_api_key_file,
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            otlp_sample_ratio: self.otlp_sample_ratio.or(other.otlp_sample_ratio),
            log_format: self.log_format.or(other.log_format),
            log_level: self.log_level.or(other.log_level),
        }
    }

    /// Checks the settings and fills in the defaults.
    pub fn check(self) -> Result<Config, ConfigError> {
        let secret_key = secret(self.secret_key, self.secret_key_file.as_deref())?;
        if secret_key.as_ref().is_some_and(|key| key.reveal().chars().count() < SECRET_KEY_CHARS_MIN) {
            return Err(ConfigError(format!(
                "--secret-key is too short: at least {SECRET_KEY_CHARS_MIN} characters are needed"
            )));
        }
        let response_timeout =
            at_least_a_moment("--response-timeout", self.response_timeout, Duration::from_secs(10))?;
        Ok(Config {
            listen: self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            data_dir: folder(self.data_dir)?,
            database: database(self.database_url, self.database_schema)?,
            public_url: self.public_url.map(|url| base(&url)).transpose()?,
            allow_networks: self.allow_network.unwrap_or_default(),
            retry_schedule: self.retry_delays.map_or_else(|| Ok(RetrySchedule::default()), schedule)?,
            response_timeout,
            ai_fallback: at_least_a_moment("--ai-fallback", self.ai_fallback, Duration::from_mins(5))?,
            secret_key,
            previous_secret_keys: self
                .previous_secret_key
                .unwrap_or_default()
                .into_iter()
                .map(|key| key.0)
                .collect(),
            bootstrap_api_key: secret(self.bootstrap_api_key, self.bootstrap_api_key_file.as_deref())?,
            otlp: otlp(self.otlp_endpoint, self.otlp_sample_ratio)?,
            log_format: self.log_format.unwrap_or(LogFormat::Text),
            log_level: self.log_level.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

impl Config {
    /// Where the store lies.
    #[must_use]
    pub fn place(&self) -> Place {
        self.database.clone().map_or_else(|| Place::Folder(self.data_dir.clone()), Place::Database)
    }

    /// The secret key that was given or lies in the data folder, if there is one.
    pub fn known_secret_key(&self) -> Result<Option<Secret>, ConfigError> {
        if let Some(key) = &self.secret_key {
            return Ok(Some(key.clone()));
        }
        let path = self.data_dir.join(SECRET_KEY_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().chars().count() >= SECRET_KEY_CHARS_MIN => {
                Ok(Some(Secret::new(text.trim())))
            }
            Ok(_) => {
                Err(ConfigError(format!("{} holds no key: restore it, or give --secret-key", path.display())))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ConfigError(format!("cannot read {}: {error}", path.display()))),
        }
    }

    /// The secret key; makes one in the data folder where none was given and none lies there.
    pub fn secret_key(&self, random: [u8; 32], holds_store: bool) -> Result<Secret, ConfigError> {
        if let Some(key) = self.known_secret_key()? {
            return Ok(key);
        }
        let path = self.data_dir.join(SECRET_KEY_FILE);
        if holds_store {
            return Err(ConfigError(format!(
                "{} is missing, and the store was made with it: restore the file, or give --secret-key",
                path.display()
            )));
        }
        let key = random.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"));
        write_private(&path, &format!("{key}\n"))
            .map_err(|error| ConfigError(format!("cannot write {}: {error}", path.display())))?;
        Ok(Secret::new(key))
    }
}

/// Writes a file of the data folder that only its owner reads, complete or not at all; makes the folder where it is not there.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent() {
        store::engine::sqlite::make_private(folder)?;
    }
    let draft = path.with_extension("new");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    // A secret key that a loss of power takes away takes the store with it.
    std::fs::File::open(
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
    )?
    .sync_all()
}

impl FromStr for Span {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError(format!("{text:?} is not a duration: write it as 1500ms, 30s, 2m or 24h"));
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (digits, unit) = text.split_at(split);
        let amount: u32 = digits.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return Err(wrong()),
        };
        Ok(Self(unit * amount))
    }
}

impl TryFrom<String> for Span {
    type Error = ConfigError;
    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

impl FromStr for Hidden {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.to_owned().into())
    }
}

fn first_pair<A, B>(first: (Option<A>, Option<B>), second: (Option<A>, Option<B>)) -> (Option<A>, Option<B>) {
    if first.0.is_some() || first.1.is_some() { first } else { second }
}

/// A secret that was given as text or in a file.
pub fn secret(text: Option<Hidden>, file: Option<&Path>) -> Result<Option<Secret>, ConfigError> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.0)),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigError(format!("cannot read the secret in {}: {error}", path.display()))
            })?;
            Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
        }
        (None, None) => Ok(None),
    }
}

fn base(url: &Url) -> Result<String, ConfigError> {
    let plain = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    // Pages and recordings stand at the root of their host.
    if !plain
        || url.path() != "/"
        || url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
    {
        return Err(ConfigError(
            "--public-url is wrong: https://host, without path, query, fragment or user name, is expected"
                .into(),
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The data folder. What was meant as a URL may hold a password, and would be shown as a path.
fn folder(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    match given {
        Some(folder) if folder.to_string_lossy().contains("://") => {
            Err(ConfigError("--data-dir is a folder: a database is named with --database-url".into()))
        }
        given => Ok(given.unwrap_or_else(|| PathBuf::from("callhook-data"))),
    }
}

/// The database that is named, if one is.
pub fn database(url: Option<Hidden>, schema: Option<String>) -> Result<Option<Database>, ConfigError> {
    match (url, schema) {
        (Some(Hidden(url)), schema) => {
            Ok(Some(Database { url, schema: schema.unwrap_or_else(|| "callhook".to_owned()) }))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ConfigError("--database-schema needs --database-url".into())),
    }
}

fn otlp(endpoint: Option<Url>, sample_ratio: Option<f64>) -> Result<Option<OtlpConfig>, ConfigError> {
    let sample_ratio = sample_ratio.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&sample_ratio) {
        return Err(ConfigError("--otlp-sample-ratio is out of range: 0 to 1 is expected".into()));
    }
    let Some(endpoint) = endpoint else { return Ok(None) };
    let names_somebody = !endpoint.username().is_empty() || endpoint.password().is_some();
    if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host().is_none() || names_somebody {
        return Err(ConfigError(
            "--otlp-endpoint is wrong: http://host:4318 or https://host is expected, without user and password".into(),
        ));
    }
    Ok(Some(OtlpConfig { endpoint, sample_ratio }))
}

fn schedule(delays: Vec<Span>) -> Result<RetrySchedule, ConfigError> {
    let seconds = |span: Span| {
        let whole = span.0.subsec_nanos() == 0;
        u32::try_from(span.0.as_secs()).ok().filter(|_| whole)
    };
    let delays: Option<Vec<u32>> = delays.into_iter().map(seconds).collect();
    let delays = delays.ok_or_else(|| ConfigError("--retry-delays must be whole seconds".into()))?;
    RetrySchedule::new(delays).map_err(|refused| ConfigError(format!("--retry-delays {}", refused.reason)))
}

fn at_least_a_moment(flag: &str, given: Option<Span>, default: Duration) -> Result<Duration, ConfigError> {
    match given {
        None => Ok(default),
        Some(Span(span)) if (Duration::from_millis(1)..=Duration::from_hours(24)).contains(&span) => Ok(span),
        Some(_) => Err(ConfigError(format!("{flag} is out of range: 1ms to 24h is expected"))),
    }
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
