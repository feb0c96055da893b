//! `callhook keys`.

use super::{Failure, Folder, block_on, print};
use crate::admin::{self, Answer, Request};
use clap::Subcommand;

/// Commands about API keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key; it is shown once
    Create {
        /// What the key is called
        #[arg(long, default_value = "command line")]
        name: String,
        /// viewer (read), member (read, write) or admin (also keys and secrets)
        #[arg(long, default_value = "member")]
        role: String,
        /// Business that the key opens
        #[arg(long, default_value = "default")]
        business: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// List a business's keys
    List {
        /// Business whose keys are listed
        #[arg(long, default_value = "default")]
        business: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Revoke a key: it opens nothing any more, at once
    Revoke {
        /// The key's id, as `callhook keys list` shows it
        id: String,
        /// Business whose key it is
        #[arg(long, default_value = "default")]
        business: String,
        #[command(flatten)]
        folder: Folder,
    },
}

impl Keys {
    /// Runs the command, through the server where one runs on the folder.
    pub fn run(self) -> Result<(), Failure> {
        let (folder, request) = match self {
            Self::Create { name, role, business, folder } => {
                (folder, Request::CreateKey { business, name, role })
            }
            Self::List { business, folder } => (folder, Request::ListKeys { business }),
            Self::Revoke { id, business, folder } => (folder, Request::RevokeKey { business, id }),
        };
        let config = folder.config()?;
        match block_on(async { Ok(admin::ask(&config, request).await?) })? {
            Answer::Key { text } => print(&text),
            Answer::Keys(keys) => keys.iter().try_for_each(|key| {
                let state = if key.revoked { "revoked" } else { "active" };
                print(&format!("{}  ch_key_{}…  {:6}  {state:7}  {}", key.id, key.hint, key.role, key.name))
            }),
            Answer::Done => print("The key is revoked."),
            _ => Err(Failure::new("the server gave another answer")),
        }
    }
}
