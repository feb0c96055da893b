//! Sets up flows, numbers and a source through the public API, plays the calls, and knows how each has to end.

use super::cast::{Ai, Call, Flow, Way};
use super::client::Client;
use super::receiver;
use crate::cli::Failure;
use domain::secret::Secret;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two calls: quick, but slow enough to watch.
const PAUSE: Duration = Duration::from_millis(120);
/// The tracking number of the Twilio calls.
const TWILIO_NUMBER: &str = "+15735551234";
const AUTH_TOKEN: &str = "the demo's Twilio auth token";

/// The flows with their ids, and the source's addresses.
pub struct Stage {
    flows: BTreeMap<Flow, String>,
    urls: Value,
}

/// How the calls' deliveries have to end, by source call id.
pub struct Expected(BTreeMap<String, (Flow, Option<End>)>);

/// A delivery's last status and its number of attempts.
type End = (&'static str, u64);

impl Stage {
    /// Makes everything that the calls need.
    pub async fn set(client: &Client, receiver: &str) -> Result<Self, Failure> {
        let mut flows = BTreeMap::new();
        for flow in Flow::ALL {
            let webhook = flow.path().map(|path| {
                json!({"enabled": true, "url": format!("{receiver}{path}"), "wait_for_ai": flow.waits_for_ai(),
                       "headers": {"X-Demo": "yes"}})
            });
            let mut body = json!({"name": flow.name(), "source": "demo"});
            if let Some(webhook) = webhook {
                body["post_call_webhook"] = webhook;
            }
            let made = client.send("POST", "/call-flows", &body).await?;
            flows.insert(flow, text(&made["call_flow"]["id"]));
        }
        let number = json!({"phone_number": TWILIO_NUMBER, "call_flow_id": flows[&Flow::GoogleAds],
                            "utm_source": "google", "utm_medium": "cpc"});
        client.send("POST", "/numbers", &number).await?;
        let source = json!({"kind": "twilio", "name": "Twilio", "auth_token": AUTH_TOKEN, "dial": true});
        let mut source = client.send("POST", "/sources", &source).await?;
        Ok(Self { flows, urls: source["source"]["urls"].take() })
    }

    /// The flows' names by id, for the table.
    pub fn flow_names(&self) -> BTreeMap<String, &'static str> {
        self.flows.iter().map(|(flow, id)| (id.clone(), flow.name())).collect()
    }

    /// Plays the calls; answers how each has to end.
    pub async fn play(&self, client: &Client, calls: Vec<Call>) -> Result<Expected, Failure> {
        let mut expected = BTreeMap::new();
        let mut pause = tokio::time::interval(PAUSE);
        for (index, call) in calls.iter().enumerate() {
            pause.tick().await;
            let source_call_id = format!("CAdemo{index:03}");
            match call.way {
                Way::Api => self.report(client, call, &source_call_id).await?,
                Way::Twilio => self.callbacks(client, call, &source_call_id).await?,
            }
            expected.insert(source_call_id, (call.flow, call.flow.end_of(call)));
        }
        let off = json!({"post_call_webhook": {"enabled": false}});
        client.send("PATCH", &format!("/call-flows/{}", self.flows[&Flow::Paused]), &off).await?;
        Ok(Expected(expected))
    }

    /// Whether every call is recorded; a Twilio call takes seconds until its legs are one.
    pub async fn all_arrived(&self, client: &Client, total: usize) -> Result<bool, Failure> {
        Ok(client.list("/calls?limit=500", "calls").await?.len() == total)
    }

    async fn report(&self, client: &Client, call: &Call, source_call_id: &str) -> Result<(), Failure> {
        let body = json!({
            "source_call_id": source_call_id, "call_flow_id": self.flows[&call.flow], "caller_number": call.caller,
            "destination_number": "+13055554567", "status": call.status, "duration_seconds": call.seconds,
            "transcription": (!call.says.is_empty()).then_some(call.says), "cost_cents": 15,
        });
        let reported = client.send("POST", "/calls", &body).await?;
        if call.ai == Ai::Pushed {
            let spam = call.says.contains("spam");
            let analysis = json!({
                "transcription": call.says, "summary": "What the caller wanted, in a sentence.", "ai_score": if spam { 4 } else { 82 },
                "ai_category": if spam { "spam" } else { "lead" }, "qualified_ai": !spam,
                "qualification_reason": if spam { "Wants nothing" } else { "Asks for a price or a date" }, "robo_score": 0,
            });
            client
                .send("PUT", &format!("/calls/{}/analysis", text(&reported["call"]["id"])), &analysis)
                .await?;
        }
        Ok(())
    }

    /// What Twilio sends about a call that was forwarded by `<Dial>`: the child's end, the dial's end, the parent's end.
    async fn callbacks(&self, client: &Client, call: &Call, sid: &str) -> Result<(), Failure> {
        let seconds = call.seconds.to_string();
        let child_sid = format!("{sid}child");
        let parent =
            [("CallSid", sid), ("From", call.caller), ("To", TWILIO_NUMBER), ("Direction", "inbound")];
        let child = [
            ("CallSid", child_sid.as_str()),
            ("ParentCallSid", sid),
            ("From", call.caller),
            ("To", "+13055554567"),
            ("Direction", "outbound-dial"),
            ("CallStatus", call.status),
            ("CallDuration", seconds.as_str()),
        ];
        let dial = [
            ("CallStatus", "in-progress"),
            ("DialCallStatus", call.status),
            ("DialCallSid", child_sid.as_str()),
        ];
        let end = [("CallStatus", "completed"), ("CallDuration", seconds.as_str())];
        self.callback(client, "status", &child).await?;
        self.callback(client, "dial", &[&parent[..], &dial].concat()).await?;
        self.callback(client, "status", &[&parent[..], &end].concat()).await
    }

    async fn callback(&self, client: &Client, kind: &str, form: &[(&str, &str)]) -> Result<(), Failure> {
        let url = text(&self.urls[kind]);
        let form: Vec<_> =
            form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let signature = sources::twilio::signature::sign(&Secret::new(AUTH_TOKEN), &url, &form);
        client.post_form(&url, &form, &signature).await
    }
}

impl Flow {
    const ALL: [Self; 7] = [
        Self::GoogleAds,
        Self::Website,
        Self::Partner,
        Self::Sheets,
        Self::OldCrm,
        Self::Paused,
        Self::NoWebhook,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::GoogleAds => "Google Ads → Zapier",
            Self::Website => "Website → CRM",
            Self::Partner => "Partner network",
            Self::Sheets => "Google Sheets",
            Self::OldCrm => "Old CRM",
            Self::Paused => "Switched off",
            Self::NoWebhook => "No webhook",
        }
    }

    const fn path(self) -> Option<&'static str> {
        match self {
            Self::GoogleAds | Self::Paused => Some(receiver::ZAPIER),
            Self::Website => Some(receiver::FLAKY_CRM),
            Self::Partner => Some(receiver::SLOW_PARTNER),
            Self::Sheets => Some(receiver::APPS_SCRIPT),
            Self::OldCrm => Some(receiver::OLD_CRM),
            Self::NoWebhook => None,
        }
    }

    const fn waits_for_ai(self) -> bool {
        matches!(self, Self::Website | Self::Paused)
    }

    /// How the receiver's behaviour makes a call's delivery end, and after how many attempts.
    const fn end_of(self, call: &Call) -> Option<End> {
        match self {
            Self::Website => Some(("delivered", 2)),
            Self::Partner if call.seconds >= 60 => Some(("delivered", 2)),
            Self::GoogleAds | Self::Sheets | Self::Partner => Some(("delivered", 1)),
            Self::OldCrm => Some(("failed", 3)),
            Self::Paused => Some(("cancelled", 0)),
            Self::NoWebhook => None,
        }
    }
}

impl Expected {
    /// What ended otherwise, a line each.
    pub fn compare(&self, calls: &[Value], deliveries: &[Value]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (source_call_id, (flow, expected)) in &self.0 {
            let Some(call) = calls.iter().find(|call| call["source_call_id"] == source_call_id.as_str())
            else {
                wrong.push(format!("{source_call_id} ({}) was not recorded", flow.name()));
                continue;
            };
            let delivery = deliveries.iter().find(|delivery| delivery["call_id"] == call["id"]);
            let end = delivery
                .map(|delivery| (text(&delivery["status"]), delivery["attempt_count"].as_u64().unwrap_or(0)));
            let wanted = expected.map(|(status, attempts)| (status.to_owned(), attempts));
            if end != wanted {
                wrong.push(format!(
                    "{source_call_id} ({}) ended as {end:?} instead of {wanted:?}",
                    flow.name()
                ));
            }
        }
        wrong
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
