//! Services that people send calls to, recognised by the address that they give out.

use crate::destination::DestinationUrl;

/// A service that has a guide of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Webhooks by Zapier, Catch Hook.
    Zapier,
    /// An incoming webhook of Slack.
    Slack,
    /// A custom webhook of Make, once Integromat.
    Make,
    /// A Google Apps Script that is deployed as a web app.
    GoogleSheets,
}

impl Receiver {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Zapier, Self::Slack, Self::Make, Self::GoogleSheets];

    /// The hosts of its addresses, and of all below them; spaces between.
    #[must_use]
    pub const fn hosts(self) -> &'static str {
        match self {
            Self::Zapier => "hooks.zapier.com",
            Self::Slack => "hooks.slack.com",
            Self::Make => "make.com integromat.com",
            Self::GoogleSheets => "script.google.com",
        }
    }

    /// Whose address it is.
    #[must_use]
    pub fn of(url: &DestinationUrl) -> Option<Self> {
        let host = url.as_url().host_str()?;
        let is_of =
            |known: &str| host.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        Self::ALL.into_iter().find(|receiver| receiver.hosts().split(' ').any(is_of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_known_by_its_host() {
        let check = |url: &str, expected| {
            assert_eq!(Receiver::of(&DestinationUrl::parse(url).unwrap()), expected, "{url}");
        };
        check("https://hooks.zapier.com/hooks/catch/1/a/", Some(Receiver::Zapier));
        check("https://HOOKS.slack.com/services/T/B/x", Some(Receiver::Slack));
        check("https://hook.eu1.make.com/abc", Some(Receiver::Make));
        check("https://hook.integromat.com/abc", Some(Receiver::Make));
        check("https://script.google.com/macros/s/A/exec", Some(Receiver::GoogleSheets));
        check("https://hooks.zapier.com.example.com/", None);
        check("https://nothooks.slack.com/", None);
        check("https://example.com/hooks.zapier.com", None);
    }
}
