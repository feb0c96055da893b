//! What happened over a call flow lately: its last deliveries, its week, its latest calls with what was sent about each.

use crate::app::App;
use crate::dashboard::delivery::badge;
use crate::dashboard::error::PageError;
use crate::dashboard::moment::Clock;
use crate::dashboard::overview::rate;
use domain::Timestamp;
use domain::call::Call;
use domain::call_flow::CallFlow;
use domain::delivery::Delivery;
use domain::id::{BusinessId, CallFlowId};
use store::call::CallFilter;
use store::delivery::{BEATS_MAX, Beat, DeliveryFilter, Pulse, Told};
use store::statistics::DeliveryStatistics;

/// Calls beside the settings.
const CALLS: usize = 8;
/// Days of the success rate before today.
const DAYS_BEFORE: i32 = 6;
/// From here on a latency is told in seconds.
const SECONDS_FROM_MS: u32 = 100;

/// What happened lately.
pub struct Lately {
    pub pulse: Pulse,
    pub week: Week,
    /// Why the last attempt that failed did so, in words.
    pub failure: Option<String>,
    pub days: Vec<Day>,
    /// Whether calls are sent anywhere from now on.
    pub is_sending: bool,
}

/// How deliveries ended today and on the six days before.
pub struct Week {
    /// When the flow was made, where that is less long ago.
    pub younger_since: Option<Timestamp>,
    /// Delivered and failed.
    ended: (u64, u64),
    median_ms: Option<u32>,
}

/// Calls of one day, the latest first.
pub struct Day {
    /// What it is called, drawn.
    pub name: String,
    pub calls: Vec<(Call, Vec<Told>)>,
}

impl Lately {
    pub async fn of(app: &App, clock: &Clock, flow: &CallFlow) -> Result<Self, PageError> {
        let (business_id, id) = (flow.business_id, flow.id);
        let pulses = app.store.pulses(business_id, vec![id]).await?;
        let pulse = pulses.into_iter().next().ok_or(PageError::NotFound)?;
        let since = clock.day_began(DAYS_BEFORE);
        let ended = app.store.ended_of_call_flow(business_id, id, since).await?;
        let filter = CallFilter { call_flow_id: Some(id), ..CallFilter::default() };
        let calls = app.store.list_calls(business_id, filter, None, CALLS).await?.rows;
        let ids = calls.iter().map(|call| call.id).collect();
        let told = app.store.deliveries_of_calls(business_id, ids).await?;
        Ok(Self {
            failure: last_failure(app, business_id, id, &pulse).await?,
            week: Week::of(Some(flow.created_at).filter(|made_at| *made_at > since), &ended),
            days: by_day(calls.into_iter().zip(told), |call| clock.day(call.started_at)),
            is_sending: flow.post_call_webhook.settings.target().is_some(),
            pulse,
        })
    }

    pub fn spark(&self) -> String {
        spark(&self.pulse)
    }
}

impl Week {
    fn of(younger_since: Option<Timestamp>, found: &DeliveryStatistics) -> Self {
        let count = |status: &str| found.ended.get(status).copied().unwrap_or_default();
        let ended = (count("delivered"), count("failed"));
        Self { younger_since, ended, median_ms: found.latency.percentile_ms(50) }
    }

    /// Of all that were delivered or failed; nothing where none was.
    pub fn rate(&self) -> Option<String> {
        Some(rate(self.ended)).filter(|_| self.ended != (0, 0))
    }

    /// How long the endpoint took to answer, half of the times.
    pub fn median(&self) -> Option<String> {
        self.median_ms.map(|ms| {
            if ms < SECONDS_FROM_MS {
                format!("{ms} ms")
            } else {
                format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10)
            }
        })
    }
}

/// A delivery's state in words, for who does not see its sign.
pub fn words(told: &Told) -> String {
    let attempts = match told.attempt_count {
        0 => "not tried yet".to_owned(),
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    };
    format!("{}, {attempts}", badge(&told.status).1)
}

/// The last deliveries as bars, oldest left; in words for who does not see them.
pub fn spark(pulse: &Pulse) -> String {
    let delivered = pulse.beats.iter().filter(|beat| **beat == Beat::Delivered).count();
    let bars = pulse.beats.iter().rev().map(|beat| match beat {
        Beat::Delivered => "<i></i>",
        Beat::Failed => "<i class=\"failed\"></i>",
        Beat::Waiting => "<i class=\"waiting\"></i>",
        Beat::Ended => "<i class=\"ended\"></i>",
    });
    let words = format!("{delivered} of the last {} were delivered", pulse.beats.len());
    let bars: String = bars.collect();
    format!("<span class=\"spark\" role=\"img\" aria-label=\"{words}\">{bars}</span>")
}

fn by_day(calls: impl Iterator<Item = (Call, Vec<Told>)>, name: impl Fn(&Call) -> String) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for (call, told) in calls {
        let name = name(&call);
        match days.last_mut().filter(|day| day.name == name) {
            Some(day) => day.calls.push((call, told)),
            None => days.push(Day { name, calls: vec![(call, told)] }),
        }
    }
    days
}

async fn last_failure(
    app: &App,
    business_id: BusinessId,
    id: CallFlowId,
    pulse: &Pulse,
) -> Result<Option<String>, PageError> {
    if pulse.failing_since.is_none() {
        return Ok(None);
    }
    let Some(failed) = last_failed(app, business_id, id).await? else { return Ok(None) };
    let detail = app.store.delivery(business_id, failed.id).await?;
    Ok(detail.attempts.into_iter().rev().find_map(|attempt| attempt.error_detail))
}

/// The newest of a flow's last deliveries of which the last attempt failed.
pub async fn last_failed(
    app: &App,
    business_id: BusinessId,
    id: CallFlowId,
) -> Result<Option<Delivery>, PageError> {
    let filter = DeliveryFilter { call_flow_id: Some(id), test: Some(false), ..DeliveryFilter::default() };
    let page = app.store.list_deliveries(business_id, filter, None, BEATS_MAX).await?;
    let mut rows = page.rows.into_iter();
    Ok(rows.find(|delivery| delivery.last_error.is_some() && delivery.delivered_at.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::delivery::DeliveryStatus;
    use domain::id::DeliveryId;
    use domain::sample;

    #[test]
    fn a_delivery_is_told_in_words() {
        let told = |status, attempt_count| {
            words(&Told { delivery_id: DeliveryId::from_bytes([0; 16]), status, attempt_count })
        };
        assert_eq!(told(DeliveryStatus::Delivered, 1), "delivered, 1 attempt");
        assert_eq!(told(DeliveryStatus::Scheduled, 2), "waiting, 2 attempts");
        assert_eq!(told(DeliveryStatus::WaitingForAi, 0), "waits for AI, not tried yet");
    }

    #[test]
    fn a_week_says_its_rate_and_its_median() {
        let week = |ended, median_ms| Week { younger_since: None, ended, median_ms };
        assert_eq!(week((992, 8), Some(210)).rate().as_deref(), Some("99.2 %"));
        assert_eq!(week((0, 0), None).rate(), None);
        let median = |ms| week((1, 0), Some(ms)).median().unwrap();
        assert_eq!([median(99), median(210), median(12_047)], ["99 ms", "0.21 s", "12.04 s"]);
    }

    #[test]
    fn calls_of_one_day_stand_together() {
        let call = |at: &str| {
            let at = at.parse().unwrap();
            (sample::call(BusinessId::from([1; 16]), CallFlowId::from_bytes([2; 16]), "", at), Vec::new())
        };
        let calls =
            [call("2026-03-30T14:00:00Z"), call("2026-03-30T13:00:00Z"), call("2026-03-29T23:00:00Z")];
        let days = by_day(calls.into_iter(), |call| call.started_at.to_string()[..10].to_owned());
        let days: Vec<_> = days.into_iter().map(|day| (day.name, day.calls.len())).collect();
        assert_eq!(days, [("2026-03-30".to_owned(), 2), ("2026-03-29".to_owned(), 1)]);
    }
}
