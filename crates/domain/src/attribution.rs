//! Where a call came from: traffic source, visitor journey, UTM parameters, click ids.

use crate::{Invalid, limits, text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! attribution {
    ($($(#[$doc:meta])* $field:ident),+ $(,)?) => {
        /// The attribution of a call, or the defaults that a number or a flow gives.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Attribution {
            $($(#[$doc])* #[schema(max_length = 2048)] pub $field: Option<String>,)+
        }

        impl Attribution {
            /// The field names, in the payload's order.
            pub const FIELDS: &[&str] = &[$(stringify!($field)),+];

            /// Fills what is not known here from `defaults`, field by field.
            #[must_use]
            pub fn or(self, defaults: &Self) -> Self {
                Self { $($field: self.$field.or_else(|| defaults.$field.clone()),)+ }
            }

            /// Checks every field; an empty text counts as not known.
            pub fn checked(self) -> Result<Self, Invalid> {
                Ok(Self { $($field: checked(stringify!($field), self.$field)?,)+ })
            }

            /// The values, in the order of [`Attribution::FIELDS`].
            #[must_use]
            pub fn values(&self) -> [Option<&str>; Self::FIELDS.len()] {
                [$(self.$field.as_deref()),+]
            }

            /// The value of the field of this name.
            #[must_use]
            pub fn value(&self, name: &str) -> Option<&str> {
                let at = Self::FIELDS.iter().position(|field| *field == name)?;
                self.values()[at]
            }
        }
    };
}

attribution! {
    /// Traffic source, such as `google`.
    source,
    /// The page on which the visitor arrived.
    landing_page_url,
    /// The page from which the visitor came.
    referrer_url,
    /// UTM source.
    utm_source,
    /// UTM medium.
    utm_medium,
    /// UTM campaign.
    utm_campaign,
    /// UTM term.
    utm_term,
    /// UTM content.
    utm_content,
    /// Google's click id.
    gclid,
    /// Meta's click id.
    fbclid,
    /// Microsoft's click id.
    msclkid,
}

fn checked(field: &str, value: Option<String>) -> Result<Option<String>, Invalid> {
    value
        .filter(|value| !value.trim().is_empty())
        .map(|value| {
            text::line(&value, limits::ATTRIBUTION_CHARS_MAX).map_err(|refused| refused.within(field))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_call_says_comes_first() {
        let call = Attribution { source: Some("bing".into()), ..Attribution::default() };
        let number = Attribution {
            source: Some("google".into()),
            utm_medium: Some("cpc".into()),
            ..Attribution::default()
        };
        let filled = call.or(&number);
        assert_eq!((filled.source.as_deref(), filled.utm_medium.as_deref()), (Some("bing"), Some("cpc")));
    }

    #[test]
    fn empty_texts_are_unknown_and_control_characters_are_refused() {
        let given =
            Attribution { source: Some("  ".into()), gclid: Some("a\nb".into()), ..Attribution::default() };
        assert_eq!(given.checked().unwrap_err().field, "gclid");
        let given = Attribution { source: Some(String::new()), ..Attribution::default() };
        assert_eq!(given.checked().unwrap(), Attribution::default());
    }
}
