//! `callhook users`.

use super::{Failure, Folder, block_on, print};
use crate::admin::{self, Answer, Request, UserLine};
use clap::{Args, Subcommand};
use url::Url;

const LAST_USER_DELETED: &str = "The user is deleted, and nobody can sign in any more: `callhook users setup` makes a link for the first user.";

/// Commands about people who sign in.
#[derive(Debug, Subcommand)]
pub enum Users {
    /// List everybody who can sign in, with their businesses and roles
    List {
        #[command(flatten)]
        folder: Folder,
    },
    /// Invite a person into a business: prints a link that works once, within 7 days
    Add {
        /// The person's e-mail address
        #[arg(long)]
        email: String,
        /// Business that the person is to belong to
        #[arg(long, default_value = "default")]
        business: String,
        /// viewer (read), member (read, write) or admin (also keys, secrets and people)
        #[arg(long, default_value = "member")]
        role: String,
        #[command(flatten)]
        own: OwnAddress,
        #[command(flatten)]
        folder: Folder,
    },
    /// Let a person choose another password: prints a link that works once, within 24 hours
    Reset {
        /// The person's e-mail address
        email: String,
        /// Also remove the second factor: for a phone that was lost
        #[arg(long)]
        remove_totp: bool,
        #[command(flatten)]
        own: OwnAddress,
        #[command(flatten)]
        folder: Folder,
    },
    /// Make the first user's link anew, while nobody can sign in: prints a link that works once, within 7 days
    Setup {
        #[command(flatten)]
        own: OwnAddress,
        #[command(flatten)]
        folder: Folder,
    },
    /// Delete a person: sessions and memberships end at once, and open invitations by and for the person
    Delete {
        /// The person's e-mail address
        email: String,
        /// Also where a business is left without an admin
        #[arg(long)]
        last_admin: bool,
        #[command(flatten)]
        folder: Folder,
    },
}

/// What links begin with.
#[derive(Args, Clone, Debug)]
pub struct OwnAddress {
    /// Address under which others reach the server; not needed while the server runs
    #[arg(long, env = "CALLHOOK_PUBLIC_URL", value_name = "URL")]
    public_url: Option<Url>,
}

impl Users {
    /// Runs the command, through the server where one runs on the folder.
    pub fn run(self) -> Result<(), Failure> {
        let (folder, public_url, request) = match self {
            Self::List { folder } => (folder, None, Request::ListUsers),
            Self::Add { email, business, role, own, folder } => {
                (folder, own.public_url, Request::AddUser { email, business, role })
            }
            Self::Reset { email, remove_totp, own, folder } => {
                (folder, own.public_url, Request::ResetUser { email, remove_totp })
            }
            Self::Setup { own, folder } => (folder, own.public_url, Request::SetUpUser),
            Self::Delete { email, last_admin, folder } => {
                (folder, None, Request::DeleteUser { email, last_admin })
            }
        };
        let mut common = folder.common();
        common.settings.public_url = public_url;
        let config = common.config()?;
        match block_on(async { Ok(admin::ask(&config, request).await?) })? {
            Answer::Users(users) => users.iter().try_for_each(|user| print(&line(user))),
            Answer::Link { url } => print(&url),
            Answer::UserDeleted { is_last: false } => print("The user is deleted."),
            Answer::UserDeleted { is_last: true } => print(LAST_USER_DELETED),
            _ => Err(Failure::new("the server gave another answer")),
        }
    }
}

fn line(user: &UserLine) -> String {
    let UserLine { email, name, has_totp, memberships } = user;
    let second_factor = if *has_totp { "  (with a second factor)" } else { "" };
    let roles: Vec<_> = memberships.iter().map(|of| format!("{} of {:?}", of.role, of.business)).collect();
    let roles = if roles.is_empty() { "of no business".to_owned() } else { roles.join(", ") };
    format!("{email}  {name}{second_factor}: {roles}")
}
