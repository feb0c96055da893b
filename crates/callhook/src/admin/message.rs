//! What a command asks of a running server, and what it answers: one JSON object each.

use domain::business::RetentionDays;
use domain::user::{Membership, User};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Make a business.
    CreateBusiness {
        /// Its name.
        name: String,
        /// How its numbers without `+` are read.
        default_country: String,
    },
    /// All businesses.
    ListBusinesses,
    /// Rename a business.
    RenameBusiness {
        /// Its name now.
        name: String,
        /// Its name from now on.
        new_name: String,
    },
    /// Change how long a business keeps what has ended. What is left out stays; 0 days keep it for good.
    SetRetention {
        /// Its name.
        name: String,
        /// Days for payloads and attempts.
        payload_days: Option<i64>,
        /// Days for calls.
        call_days: Option<i64>,
    },
    /// Make a key.
    CreateKey {
        /// The business's name.
        business: String,
        /// What the key is called.
        name: String,
        /// What it allows.
        role: String,
    },
    /// A business's keys.
    ListKeys {
        /// The business's name.
        business: String,
    },
    /// Revoke a key.
    RevokeKey {
        /// The business's name.
        business: String,
        /// The key's id.
        id: String,
    },
    /// Everybody who can sign in.
    ListUsers,
    /// Invite a person.
    AddUser {
        /// The e-mail address.
        email: String,
        /// The business's name.
        business: String,
        /// What the person is to be there.
        role: String,
    },
    /// Let a person choose another password.
    ResetUser {
        /// The e-mail address.
        email: String,
        /// Whether the second factor is removed as well.
        remove_totp: bool,
    },
    /// Make the link for the first user anew.
    SetUpUser,
    /// Delete a person.
    DeleteUser {
        /// The e-mail address.
        email: String,
        /// Whether it is meant also where a business has no administrator then.
        last_admin: bool,
    },
    /// How the running server is.
    Condition,
    /// Sending may go on.
    Resume,
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The businesses that were made, changed or listed.
    Businesses(Vec<BusinessLine>),
    /// A key in clear, this once.
    Key {
        /// The whole key.
        text: String,
    },
    /// A business's keys.
    Keys(Vec<KeyLine>),
    /// Everybody who can sign in.
    Users(Vec<UserLine>),
    /// A link that works once.
    Link {
        /// The whole address.
        url: String,
    },
    /// A person is deleted.
    UserDeleted {
        /// Whether that was the last one who could sign in.
        is_last: bool,
    },
    /// The server takes calls.
    Condition(Condition),
    /// Sending goes on.
    Resumed(Resumed),
    /// It is done.
    Done,
}

/// A business on a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BusinessLine {
    /// The payload's `business_id`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How its numbers without `+` are read.
    pub default_country: String,
    /// Days for which it keeps payloads and attempts; none: for good.
    pub payload_days: Option<u16>,
    /// Days for which it keeps calls; none: for good.
    pub call_days: Option<u16>,
}

/// A key on a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyLine {
    /// Names it for its revocation.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub role: String,
    /// Its first characters.
    pub hint: String,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A person on a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserLine {
    /// By which the person signs in.
    pub email: String,
    /// What others call the person.
    pub name: String,
    /// Whether a code is asked for beside the password.
    pub has_totp: bool,
    /// What the person belongs to.
    pub memberships: Vec<MembershipLine>,
}

/// What a person is in a business.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MembershipLine {
    /// The business's name.
    pub business: String,
    /// What the person may do there.
    pub role: String,
}

/// A server that takes calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// Its version.
    pub version: String,
    /// The address under which others reach it.
    pub public_url: String,
    /// Whether sending waits for the operator's word.
    pub sending_paused: bool,
    /// A proxy whose address is taken for everybody's.
    #[serde(default)]
    pub proxy_taken_for_everybody: Option<IpAddr>,
    /// Where its store is, in words; none of an older version.
    #[serde(default)]
    pub place: Option<String>,
    /// Names its hold of a database; none of a folder.
    #[serde(default)]
    pub holder: Option<String>,
}

/// Sending that goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resumed {
    /// Whether it had paused.
    pub was_paused: bool,
    /// Deliveries that are due now.
    pub due: u64,
    /// Deliveries whose time is still to come.
    pub waiting: u64,
}

impl From<domain::business::Business> for BusinessLine {
    fn from(business: domain::business::Business) -> Self {
        Self {
            id: business.id.to_string(),
            name: business.name,
            default_country: business.default_country.to_string(),
            payload_days: business.retention.payload.map(RetentionDays::get),
            call_days: business.retention.call.map(RetentionDays::get),
        }
    }
}

impl From<(User, Vec<Membership>)> for UserLine {
    fn from((user, memberships): (User, Vec<Membership>)) -> Self {
        let line =
            |of: Membership| MembershipLine { business: of.business_name, role: of.role.as_str().to_owned() };
        Self {
            email: user.email.to_string(),
            name: user.name,
            has_totp: user.has_totp,
            memberships: memberships.into_iter().map(line).collect(),
        }
    }
}

impl From<domain::api_key::ApiKey> for KeyLine {
    fn from(key: domain::api_key::ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            role: key.role.as_str().to_owned(),
            hint: key.hint,
            revoked: key.revoked_at.is_some(),
        }
    }
}
