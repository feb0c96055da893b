//! What the operator does on the command line to a store that may have a server: businesses, keys, people, letting sending go on.
//!
//! One process owns a data folder. Where a server runs, it does the work: the command asks it through a socket in the folder that
//! only the folder's owner can open. Where none runs, the command opens the store itself.

mod message;
mod user;

pub use message::{Answer, BusinessLine, Condition, KeyLine, MembershipLine, Request, Resumed, UserLine};
pub use user::setup_link;

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::system::System;
use domain::api_key::{KeyText, Role};
use domain::business::{Retention, RetentionDays};
use domain::limits::NAME_CHARS_MAX;
use domain::secret::Secret;
use domain::{Invalid, World, text};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::api_key::KeyMaker;
use store::pause::Outstanding;
use store::queue::{Change, CommitListener, Committed};
use store::seal::Keyring;
use store::sign_in_link::SecondFactor;
use store::tx::Rules;
use store::user::LastAdmin;
use store::{Store, StoreConfig, StoreError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Bytes of one request.
const REQUEST_BYTES_MAX: u64 = 65_536;
/// Bytes of one answer: a list of some 400,000 businesses.
const ANSWER_BYTES_MAX: u64 = 64 * 1_048_576;
/// In the data folder, where a start has no terminal to show the first user's link on.
pub const SETUP_LINK_FILE: &str = "setup-link";
/// The socket in the data folder.
const SOCKET_NAME: &str = "callhook.sock";

/// Why it could not be done, in one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AdminError(String);

macro_rules! admin_errors {
    ($($error:ty),+) => {$(
        impl From<$error> for AdminError {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }
    )+};
}
admin_errors!(StoreError, Invalid, ConfigError, std::io::Error, serde_json::Error);

/// Does it: through the server that runs on the folder, or else in this process.
pub async fn ask(config: &Config, request: Request) -> Result<Answer, AdminError> {
    let is_set_up = matches!(request, Request::SetUpUser);
    let answer = ask_either(config, request).await?;
    if is_set_up {
        // The link in it leads nowhere any more.
        let _ = std::fs::remove_file(config.data_dir.join(SETUP_LINK_FILE));
    }
    Ok(answer)
}

async fn ask_either(config: &Config, request: Request) -> Result<Answer, AdminError> {
    if let Some(answer) = ask_running(&config.data_dir, &request).await {
        return answer;
    }
    if !holds_store(config).await? {
        let (place, other) = match &config.database {
            Some(_) => (config.place().shown()?, "schema with --database-schema"),
            None => (config.data_dir.display().to_string(), "folder with --data-dir"),
        };
        return Err(AdminError(format!(
            "no store lies in {place}: run `callhook serve` there first, or name another {other}"
        )));
    }
    let store = store_config(config, &config.secret_key((&System as &dyn World).random(), true)?);
    let store = match request {
        Request::Resume => Store::open_to_resume(&config.place(), store).await?,
        _ => Store::open(&config.place(), store).await?,
    };
    perform(&store, &System, &public_url(config, config.listen), request).await
}

/// Whether a store lies where the settings say. A file that cannot be looked at is one that is there.
pub async fn holds_store(config: &Config) -> Result<bool, StoreError> {
    let Some(database) = config.database.clone() else {
        return Ok(config.data_dir.join(store::engine::sqlite::FILE_NAME).try_exists().unwrap_or(true));
    };
    let looked = tokio::task::spawn_blocking(move || store::backup::database_holds_store(&database)).await;
    looked.map_err(|error| StoreError::Unavailable(error.to_string()))?
}

/// The base of own addresses: as it is set, or made of the address that is listened on.
#[must_use]
pub fn public_url(config: &Config, listening_on: SocketAddr) -> String {
    config.public_url.clone().unwrap_or_else(|| format!("http://{listening_on}"))
}

/// Asks the server that runs on the folder; `None`: none does.
pub async fn ask_running(data_dir: &Path, request: &Request) -> Option<Result<Answer, AdminError>> {
    match UnixStream::connect(socket_path(data_dir)).await {
        Ok(stream) => Some(ask_server(stream, request).await),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            let process = store::engine::sqlite::user(data_dir)?;
            Some(Err(AdminError(format!(
                "callhook (process {process}) runs on {} and cannot be asked, since its socket {SOCKET_NAME} is gone: restart it",
                data_dir.display()
            ))))
        }
        Err(error) => Some(Err(AdminError(format!(
            "the server on {} cannot be asked ({error}): run this as the server's user",
            data_dir.display()
        )))),
    }
}

/// Carries out a request on an open store.
pub async fn perform(
    store: &Store,
    world: &dyn World,
    public_url: &str,
    request: Request,
) -> Result<Answer, AdminError> {
    match request {
        Request::CreateBusiness { name, default_country } => {
            let name = line("the name", &name)?;
            let country =
                default_country.parse().map_err(|refused: Invalid| refused.within("--default-country"))?;
            let business = store.create_business(name, country).await?;
            Ok(Answer::Businesses(vec![business.into()]))
        }
        Request::ListBusinesses => {
            Ok(Answer::Businesses(store.list_businesses().await?.into_iter().map(Into::into).collect()))
        }
        Request::RenameBusiness { name, new_name } => {
            let new_name = line("the new name", &new_name)?;
            Ok(Answer::Businesses(vec![store.rename_business(name, new_name).await?.into()]))
        }
        Request::SetRetention { name, payload_days, call_days } => {
            let id = business_named(store, name).await?.id;
            let business = store.set_retention(id, move |business| {
                let Retention { payload, call } = business.retention;
                Ok(Retention {
                    payload: days("--payload-days", payload_days, payload)?,
                    call: days("--call-days", call_days, call)?,
                })
            });
            Ok(Answer::Businesses(vec![business.await?.into()]))
        }
        Request::CreateKey { business, name, role } => {
            let role: Role = role.parse().map_err(|refused: Invalid| refused.within("--role"))?;
            let name = line("--name", &name)?;
            let business = business_named(store, business).await?;
            let key = crate::app::api_key::new_key_text(world);
            store.create_api_key(business.id, None, name, role, key.clone(), KeyMaker::Operator).await?;
            Ok(Answer::Key { text: key.reveal().to_owned() })
        }
        Request::ListKeys { business } => {
            let business = business_named(store, business).await?;
            let page = store.list_api_keys(business.id, None, usize::from(u16::MAX)).await?;
            Ok(Answer::Keys(page.rows.into_iter().map(Into::into).collect()))
        }
        Request::RevokeKey { business, id } => {
            let business = business_named(store, business).await?;
            let id = id.parse().map_err(|refused: Invalid| refused.within("the key's id"))?;
            store.revoke_api_key(business.id, id).await?;
            Ok(Answer::Done)
        }
        Request::ListUsers => user::list(store).await,
        Request::AddUser { email, business, role } => {
            user::add(store, world, public_url, &email, business, &role).await
        }
        Request::ResetUser { email, remove_totp } => {
            let second_factor = if remove_totp { SecondFactor::Removed } else { SecondFactor::Kept };
            user::reset(store, world, public_url, &email, second_factor).await
        }
        Request::SetUpUser => user::set_up(store, world, public_url).await,
        Request::DeleteUser { email, last_admin } => {
            let last_admin = if last_admin { LastAdmin::Goes } else { LastAdmin::Stays };
            user::delete(store, &email, last_admin).await
        }
        Request::Resume => resume(store).await,
        Request::Condition => Err(AdminError("no server runs on this folder".to_owned())),
    }
}

async fn resume(store: &Store) -> Result<Answer, AdminError> {
    let Outstanding { due, waiting } = store.outstanding().await?;
    let was_paused = store.resume_sending().await?;
    Ok(Answer::Resumed(Resumed { was_paused, due, waiting }))
}

/// Makes sure of the business `default` with this admin key.
pub async fn bootstrap(store: &Store, key: &str) -> Result<(), AdminError> {
    let key = KeyText::parse(key)
        .map_err(|refused| AdminError(format!("--bootstrap-api-key {}", refused.reason)))?;
    let business = store.ensure_business("default".to_owned(), domain::phone_number::Country::US).await?;
    Ok(store.ensure_api_key(business.id, "bootstrap".to_owned(), key).await?)
}

/// Makes the first business and its first key where there is no business yet; the key is to be shown once.
pub async fn first_key(store: &Store, world: &dyn World) -> Result<Option<KeyText>, AdminError> {
    if !store.list_businesses().await?.is_empty() {
        return Ok(None);
    }
    let business = store.create_business("default".to_owned(), domain::phone_number::Country::US).await?;
    let key = crate::app::api_key::new_key_text(world);
    store
        .create_api_key(
            business.id,
            None,
            "first key".to_owned(),
            Role::Admin,
            key.clone(),
            KeyMaker::Operator,
        )
        .await?;
    Ok(Some(key))
}

fn line(what: &str, given: &str) -> Result<String, Invalid> {
    text::line(given, NAME_CHARS_MAX).map_err(|refused| refused.within(what))
}

/// What was asked for, or what there is.
fn days(
    what: &str,
    asked: Option<i64>,
    current: Option<RetentionDays>,
) -> Result<Option<RetentionDays>, Invalid> {
    match asked {
        None => Ok(current),
        Some(0) => Ok(None),
        Some(days) => RetentionDays::new(days)
            .map(Some)
            .map_err(|refused| Invalid::field(what, format!("{}, or 0 for good", refused.reason))),
    }
}

async fn business_named(store: &Store, name: String) -> Result<domain::business::Business, AdminError> {
    match store.business_by_name(name.clone()).await {
        Err(StoreError::NotFound(_)) => {
            Err(AdminError(format!("there is no business named {name:?}: see `callhook businesses list`")))
        }
        found => Ok(found?),
    }
}

/// What a command needs to open a store, where no server has it.
#[must_use]
pub fn store_config(config: &Config, key: &Secret) -> StoreConfig {
    StoreConfig {
        world: Arc::new(System),
        keyring: Keyring::new(key, &config.previous_secret_keys),
        rules: Rules { public_url: String::new(), ai_fallback: config.ai_fallback },
        listener: Arc::new(NobodyListens),
    }
}

/// Nothing that a command does plans a delivery.
struct NobodyListens;

impl CommitListener for NobodyListens {
    fn committed(&self, _: Vec<Committed>) {}
    fn changed(&self, _: Vec<Change>) {}
    fn unknown(&self) {}
}

/// Opens the socket through which commands ask a running server.
pub fn listen(data_dir: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = socket_path(data_dir);
    // The folder's lock is held: a socket that lies there belongs to a process that has ended.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers commands until the future is dropped.
pub async fn answer_commands(listener: UnixListener, app: Arc<App>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "A command could not be taken");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            if let Err(error) = answer_command(stream, &app).await {
                tracing::warn!(%error, "A command broke off");
            }
        });
    }
}

async fn answer_command(stream: UnixStream, app: &App) -> Result<(), AdminError> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let answer = perform_here(app, serde_json::from_str(&line)?).await.map_err(|error| error.to_string());
    write.write_all(serde_json::to_string(&answer)?.as_bytes()).await?;
    Ok(write.shutdown().await?)
}

/// Carries out what concerns the running server, and not its store alone.
async fn perform_here(app: &App, request: Request) -> Result<Answer, AdminError> {
    if matches!(request, Request::Condition) {
        app.store.check().await?;
        return Ok(Answer::Condition(Condition {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            public_url: app.public_url.clone(),
            sending_paused: *app.sending_paused.borrow(),
            proxy_taken_for_everybody: app.proxy.taken_for_everybody(),
            place: Some(app.store.place().to_owned()),
            holder: app.store.holder(),
        }));
    }
    let answer = perform(&app.store, &*app.world, &app.public_url, request).await?;
    if matches!(answer, Answer::Resumed(_)) {
        app.sending_paused.send_replace(false);
    }
    Ok(answer)
}

async fn ask_server(stream: UnixStream, request: &Request) -> Result<Answer, AdminError> {
    let (read, mut write) = stream.into_split();
    write.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes()).await?;
    let mut text = String::new();
    read.take(ANSWER_BYTES_MAX).read_to_string(&mut text).await?;
    let foreign = |_| {
        AdminError(
            "the server gave no answer that this command knows: restart it, if it is of another version"
                .to_owned(),
        )
    };
    let answer: Result<Answer, String> = serde_json::from_str(&text).map_err(foreign)?;
    answer.map_err(AdminError)
}

fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET_NAME)
}
