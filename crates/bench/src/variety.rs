//! Calls as a business has them: mostly answered, some missed, a few of each rare kind.

use serde_json::{Value, json};

/// The source of one call of [`RARE`].
pub const RARE_SOURCE: &str = "billboard";
/// The caller of one call of [`RARE`].
pub const RARE_CALLER: &str = "+12125550177";
/// The tracking number of one call of [`RARE`].
pub const RARE_NUMBER: &str = "+15735550199";
/// One call of so many is of each rare kind.
const RARE: u64 = 50_000;
/// The first that is.
pub const FIRST_RARE: u64 = RARE / 2;

/// The call of this number.
pub fn call(number: u64, call_flow_id: &str) -> Value {
    let rare = number % RARE == FIRST_RARE;
    let status = match number % 1_000 {
        0..=929 => "completed",
        930..=979 => "no-answer",
        980..=998 => "voicemail",
        _ => {
            if rare || number % RARE == 999 {
                "failed"
            } else {
                "busy"
            }
        }
    };
    let source = if rare {
        RARE_SOURCE
    } else {
        ["google", "facebook", "organic", "direct"][usize::try_from(number % 4).unwrap_or(0)]
    };
    let mut call = json!({
        "call_flow_id": call_flow_id, "status": status, "direction": if rare { "outbound" } else { "inbound" },
        "caller_number": if rare { RARE_CALLER.to_owned() } else { format!("+1305{:07}", number % 10_000_000) },
        "duration_seconds": if rare { 86_399 } else { 1 + number % 900 },
        "source_call_id": format!("CA{number:032}"),
        "attribution": {
            "source": source, "landing_page_url": "https://www.example.com/roofing/storm-damage?campaign=spring",
            "utm_source": source, "utm_medium": "cpc", "utm_campaign": "spring-roofing", "utm_term": format!("n{number:09}"),
        },
    });
    if rare {
        call["tracking_number"] = RARE_NUMBER.into();
    }
    call
}
