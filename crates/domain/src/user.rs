//! People who sign in: what they are called, what they may choose for a password, what they belong to.

use crate::api_key::Role;
use crate::id::{BusinessId, InvitationId, SessionId, UserId};
use crate::limits::{
    EMAIL_CHARS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, SESSION_IDLE_MAX, SESSION_LIFE_MAX,
    SESSION_TOUCH_EVERY, USER_AGENT_CHARS_MAX, USER_NAME_CHARS_MAX,
};
use crate::phone_number::Country;
use crate::secret::Secret;
use crate::{Invalid, Timestamp, text};
use std::fmt;
use std::str::FromStr;

/// An e-mail address, in lower case: the name by which a person signs in. Whether it takes mail is never asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(String);

/// A password that was chosen by the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password(Secret);

/// A person who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Names the person.
    pub id: UserId,
    /// Unique on this server.
    pub email: EmailAddress,
    /// What others call the person.
    pub name: String,
    /// Whether signing in also asks for the code of an authenticator app.
    pub has_totp: bool,
    /// When the person came.
    pub created_at: Timestamp,
}

/// What a person is in a business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The business.
    pub business_id: BusinessId,
    /// Its name.
    pub business_name: String,
    /// How its numbers without `+` are read.
    pub default_country: Country,
    /// What the person may do there.
    pub role: Role,
}

/// A person's signing in from one browser, until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names the session for its end; opens nothing.
    pub id: SessionId,
    /// When the person signed in.
    pub created_at: Timestamp,
    /// When it was last used, to some minutes.
    pub last_seen_at: Timestamp,
    /// The address that the person signed in from.
    pub address: String,
    /// What the browser called itself.
    pub user_agent: String,
}

/// A person's way into a business, until it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Names it for its withdrawal; opens nothing.
    pub id: InvitationId,
    /// Who is invited.
    pub email: EmailAddress,
    /// What the person is to be.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it cannot be accepted.
    pub expires_at: Timestamp,
    /// Who made it; `None`: whoever runs the server.
    pub invited_by: Option<UserId>,
}

impl EmailAddress {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EmailAddress {
    type Err = Invalid;

    /// Takes any address whose parts could be one. What RFC 5322 allows within quotation marks, nobody has.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::value("is not an e-mail address: one such as ann@example.com is expected");
        let address = text.trim().to_lowercase();
        if address.chars().count() > EMAIL_CHARS_MAX {
            return Err(Invalid::value(format!("is too long: at most {EMAIL_CHARS_MAX} characters")));
        }
        let is_wrong = |c: char| c.is_control() || c.is_whitespace() || "\"(),:;<>@[\\]".contains(c);
        match address.split_once('@') {
            Some((person, host)) if [person, host].iter().all(|part| is_part(part, is_wrong)) => {
                Ok(Self(address))
            }
            _ => Err(wrong()),
        }
    }
}

fn is_part(part: &str, is_wrong: impl Fn(char) -> bool) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains(is_wrong)
}

impl Password {
    /// Checks a password that somebody chooses: long enough, and not the first that is tried.
    pub fn choose(text: &str, email: &EmailAddress) -> Result<Self, Invalid> {
        let chars = text.chars().count();
        if chars < PASSWORD_CHARS_MIN {
            return Err(Invalid::value(format!("is too short: at least {PASSWORD_CHARS_MIN} characters")));
        }
        if chars > PASSWORD_CHARS_MAX {
            return Err(Invalid::value(format!("is too long: at most {PASSWORD_CHARS_MAX} characters")));
        }
        if text.trim().to_lowercase() == email.as_str() {
            return Err(Invalid::value("must not be the e-mail address"));
        }
        let first = text.chars().next();
        if text.chars().all(|c| Some(c) == first) {
            return Err(Invalid::value("must not be one character over and over"));
        }
        Ok(Self(Secret::new(text)))
    }

    /// The password, for whoever hashes it.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.0
    }
}

impl Session {
    /// When a session ends that began and was used at these times, if it is not used again.
    #[must_use]
    pub fn end(created_at: Timestamp, last_seen_at: Timestamp) -> Timestamp {
        last_seen_at.after(SESSION_IDLE_MAX).min(created_at.after(SESSION_LIFE_MAX))
    }

    /// Whether the use of one that was last seen then is to be written down again.
    #[must_use]
    pub fn is_stale(last_seen_at: Timestamp, now: Timestamp) -> bool {
        now.since(last_seen_at) >= SESSION_TOUCH_EVERY
    }
}

/// Checks a person's name.
pub fn name(text: &str) -> Result<String, Invalid> {
    text::line(text, USER_NAME_CHARS_MAX)
}

/// What is kept of what a browser calls itself. It comes from anybody: what could break a line is left out.
#[must_use]
pub fn user_agent(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_has_two_parts_and_no_case() {
        #[track_caller]
        fn check(input: &str, expected: Option<&str>) {
            let address = input.parse::<EmailAddress>().ok();
            assert_eq!(address.as_ref().map(EmailAddress::as_str), expected, "{input:?}");
        }
        check(" Ann@Example.COM\n", Some("ann@example.com"));
        check("ann+calls@example.com", Some("ann+calls@example.com"));
        check("o'neill@localhost", Some("o'neill@localhost"));
        check("ÄNN@exämple.com", Some("änn@exämple.com"));
        let longest = format!("{}@example.com", "a".repeat(242));
        check(&longest, Some(&longest));
        check(&format!("a{longest}"), None);
        for wrong in [
            "",
            "ann",
            "@",
            "ann@",
            "@example.com",
            "a@b@c",
            "a n@b",
            "a\u{a0}n@b",
            "a\nn@b",
            "a\0@b",
            "a:b@c",
            "<ann@b>",
            "\"ann\"@b",
            "ann@b.",
            ".ann@b",
            "ann.@b",
            "a,b@c",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_password_is_long_and_not_the_first_that_is_tried() {
        #[track_caller]
        fn check(text: &str, expected: Result<(), &str>) {
            let email = "ann.miller@example.com".parse().unwrap();
            match (Password::choose(text, &email), expected) {
                (Ok(password), Ok(())) => assert_eq!(password.secret().reveal(), text),
                (Err(refused), Err(part)) => assert!(refused.reason.contains(part), "{refused}"),
                (chosen, _) => panic!("{text:?}: {chosen:?}"),
            }
        }
        check("correct horse", Ok(()));
        check("pässwörtchen", Ok(()));
        check(&"ab".repeat(100), Ok(()));
        check("elevenchars", Err("too short"));
        check("", Err("too short"));
        check(&format!("{}c", "ab".repeat(100)), Err("too long"));
        check("ann.miller@example.com", Err("e-mail"));
        check(" Ann.Miller@EXAMPLE.com", Err("e-mail"));
        check("aaaaaaaaaaaaaa", Err("over and over"));
        check("ääääääääääääää", Err("over and over"));
        assert_eq!(
            format!("{:?}", Password::choose("correct horse", &"a@b".parse().unwrap())),
            "Ok(Password(••••))"
        );
    }

    #[test]
    fn a_session_ends_after_two_idle_weeks_and_after_ninety_days_in_any_case() {
        let day = |number: u64| Timestamp::from_millis(0).after(Duration::from_hours(24 * number));
        for (last_seen, end) in [(0, 14), (10, 24), (76, 90), (77, 90), (89, 90)] {
            assert_eq!(Session::end(day(0), day(last_seen)), day(end), "{last_seen}");
        }
    }

    #[test]
    fn a_sessions_use_is_written_down_every_five_minutes() {
        let start = Timestamp::from_millis(1_774_880_000_000);
        let stale = |seconds| Session::is_stale(start, start.after(Duration::from_secs(seconds)));
        assert_eq!((stale(0), stale(299), stale(300)), (false, false, true));
        assert!(
            !Session::is_stale(start, start.before(Duration::from_hours(1))),
            "a clock that was set back"
        );
    }

    #[test]
    fn a_browsers_name_breaks_no_line_and_is_cut() {
        assert_eq!(user_agent("Mozilla/5.0\r\n\u{1}(X11)"), "Mozilla/5.0(X11)");
        assert_eq!(user_agent(&"ü".repeat(300)).chars().count(), 200);
    }
}
