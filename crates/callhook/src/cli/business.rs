//! `callhook businesses`.

use super::{Failure, Folder, block_on, print};
use crate::admin::{self, Answer, BusinessLine, Request};
use clap::Subcommand;

/// Commands about businesses.
#[derive(Debug, Subcommand)]
pub enum Businesses {
    /// Make a business
    Create {
        /// Its name, unique on this server
        name: String,
        /// Country by which its numbers without + are read
        #[arg(long, default_value = "US", value_name = "CODE")]
        default_country: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// List the businesses
    List {
        #[command(flatten)]
        folder: Folder,
    },
    /// Rename a business
    Rename {
        /// Its name now
        name: String,
        /// Its name from now on
        new_name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Say how long a business keeps what has ended
    Retain {
        /// Its name
        name: String,
        /// Days for payloads and attempts of deliveries; 0: for good
        #[arg(
            long,
            value_name = "DAYS",
            required_unless_present = "call_days",
            allow_negative_numbers = true
        )]
        payload_days: Option<i64>,
        /// Days for calls, with all that belongs to them; 0: for good
        #[arg(long, value_name = "DAYS", allow_negative_numbers = true)]
        call_days: Option<i64>,
        #[command(flatten)]
        folder: Folder,
    },
}

impl Businesses {
    /// Runs the command, through the server where one runs on the folder.
    pub fn run(self) -> Result<(), Failure> {
        let (folder, request) = match self {
            Self::Create { name, default_country, folder } => {
                (folder, Request::CreateBusiness { name, default_country })
            }
            Self::List { folder } => (folder, Request::ListBusinesses),
            Self::Rename { name, new_name, folder } => (folder, Request::RenameBusiness { name, new_name }),
            Self::Retain { name, payload_days, call_days, folder } => {
                (folder, Request::SetRetention { name, payload_days, call_days })
            }
        };
        let config = folder.config()?;
        let answer = block_on(async { Ok(admin::ask(&config, request).await?) })?;
        let Answer::Businesses(businesses) = answer else {
            return Err(Failure::new("the server gave another answer"));
        };
        for business in businesses {
            print(&line(&business))?;
        }
        Ok(())
    }
}

fn line(business: &BusinessLine) -> String {
    let kept = |what: &str, days: Option<u16>| match days {
        None => String::new(),
        Some(1) => format!("  ({what} kept 1 day)"),
        Some(days) => format!("  ({what} kept {days} days)"),
    };
    let BusinessLine { id, default_country, name, payload_days, call_days } = business;
    let (payloads, calls) = (kept("payloads", *payload_days), kept("calls", *call_days));
    format!("{id}  {default_country}  {name}{payloads}{calls}")
}
