//! `callhook businesses`.

use super::{Common, Failure, block_on, print};
use crate::admin::{self, Answer, Request};
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
        common: Common,
    },
    /// List the businesses
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Rename a business
    Rename {
        /// Its name now
        name: String,
        /// Its name from now on
        new_name: String,
        #[command(flatten)]
        common: Common,
    },
}

impl Businesses {
    /// Runs the command, through the server where one runs on the folder.
    pub fn run(self) -> Result<(), Failure> {
        let (common, request) = match self {
            Self::Create { name, default_country, common } => {
                (common, Request::CreateBusiness { name, default_country })
            }
            Self::List { common } => (common, Request::ListBusinesses),
            Self::Rename { name, new_name, common } => (common, Request::RenameBusiness { name, new_name }),
        };
        let config = common.config()?;
        let answer = block_on(async { Ok(admin::ask(&config, request).await?) })?;
        let Answer::Businesses(businesses) = answer else {
            return Err(Failure::new("the server gave another answer"));
        };
        for business in businesses {
            print(&format!("{}  {}  {}", business.id, business.default_country, business.name))?;
        }
        Ok(())
    }
}
