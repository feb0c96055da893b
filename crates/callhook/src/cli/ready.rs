//! `callhook ready`: health for containers and scripts that have no HTTP client.

use super::{Failure, Place, block_on, print};
use crate::admin::{self, Answer, Request};
use std::time::Duration;

/// How long the server may take to say so: it writes to its store first.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What `callhook ready` takes.
#[derive(Debug, clap::Args)]
pub struct Ready {
    #[command(flatten)]
    place: Place,
}

impl Ready {
    /// Asks the server over its socket.
    pub fn run(self) -> Result<(), Failure> {
        let data_dir = self.place.data_dir()?;
        let answer = block_on(async {
            let asked = admin::ask_running(&data_dir, &Request::Condition);
            let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
            answer.map_err(|_| Failure::new("the server does not answer: see its log"))
        })?;
        match answer {
            Some(Ok(Answer::Condition(condition))) if condition.sending_paused => {
                print("ready, and sends nothing until `callhook resume`")
            }
            Some(Ok(Answer::Condition(_))) => print("ready"),
            Some(Ok(_)) => {
                Err(Failure::new("the server gave another answer: restart it, if it is of another version"))
            }
            Some(Err(error)) => Err(error.into()),
            None => Err(Failure::new(format!("no server runs on {}", data_dir.display()))),
        }
    }
}
