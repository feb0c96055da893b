//! Ids: `UUIDv7` newtypes, so that "newest first" is the order of ids.

use crate::{Invalid, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id of the time `now`; `random` must come from a cryptographic source.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.as_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// An id as it lies in the store.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The id as it lies in the store.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The lowest id that a thing made at `time` or later can have.
            pub fn floor(time: Timestamp) -> Self {
                let millis = u64::try_from(time.as_millis()).unwrap_or(0) << 16;
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&millis.to_be_bytes());
                Self(Uuid::from_bytes(bytes))
            }

            /// When it was made, to the millisecond: the first 48 bits of a `UUIDv7`.
            #[must_use]
            pub fn made_at(&self) -> Timestamp {
                let mut millis = [0; 8];
                millis[2..].copy_from_slice(&self.as_bytes()[..6]);
                Timestamp::from_millis(i64::from_be_bytes(millis))
            }
        }

        impl From<[u8; 16]> for $name {
            fn from(bytes: [u8; 16]) -> Self {
                Self::from_bytes(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                // The hyphenated form only: braces, URNs and bare hex would give one thing several names.
                match Uuid::try_parse(text) {
                    Ok(id) if text.len() == 36 => Ok(Self(id)),
                    _ => Err(Invalid::value("is not an id: a UUID such as 018f3c1e-0000-7000-8000-000000000000 is expected")),
                }
            }
        }
    )+};
}

ids! {
    /// A tenant.
    BusinessId,
    /// A key to the API.
    ApiKeyId,
    /// What a tracking number runs.
    CallFlowId,
    /// A tracking number.
    NumberId,
    /// One phone call.
    CallId,
    /// Where a call flow's data goes; also the lane in which deliveries to it wait.
    DestinationId,
    /// One call on its way to one destination.
    DeliveryId,
    /// A phone system that reports calls.
    SourceId,
    /// Work that goes on in steps in the background.
    JobId,
    /// A sending again of all that match a filter; the job that goes on with it has the same.
    RedeliveryId,
    /// A person who signs in.
    UserId,
    /// A person's signing in, from one browser, until it ends.
    SessionId,
    /// A person's way into a business, until it is accepted.
    InvitationId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_time_and_floor_is_below_all_of_its_time() {
        let (early, late) = (Timestamp::from_millis(1_000), Timestamp::from_millis(1_001));
        let old = CallId::new(early, [0xff; 10]);
        let new = CallId::new(late, [0; 10]);
        assert!(old < new);
        assert!(CallId::floor(late) <= new && CallId::floor(late) > old);
        assert_eq!((old.made_at(), new.made_at()), (early, late));
    }

    #[test]
    fn only_the_hyphenated_form_is_read() {
        let id = CallId::new(Timestamp::from_millis(1_774_880_000_000), [7; 10]);
        assert_eq!(id.to_string().parse::<CallId>().unwrap(), id);
        for wrong in ["", "x", "{018f3c1e-0000-7000-8000-000000000000}", "018f3c1e000070008000000000000000"] {
            assert!(wrong.parse::<CallId>().is_err(), "{wrong}");
        }
    }
}
