//! Call flows with their Post-Call Webhook.

mod name;

use crate::Store;
use crate::destination;
use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::job::{self, Job};
use crate::list::{Page, like};
use crate::queue::Committed;
use crate::tx::Tx;
use domain::call_flow::CallFlow;
use domain::destination::{Destination, DestinationSettings, SigningSecret, SigningSecrets};
use domain::id::{BusinessId, CallFlowId, DestinationId};
use domain::limits::SECRET_ROTATION;
use domain::{Invalid, Timestamp};
use std::sync::Arc;

/// What a user can set of a call flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFlowSettings {
    /// See [`CallFlow`].
    pub name: String,
    /// See [`CallFlow`].
    pub source: Option<String>,
    /// See [`CallFlow`].
    pub recording: bool,
    /// See [`CallFlow`].
    pub ai_enabled: bool,
    /// See [`CallFlow`].
    pub post_call_webhook: DestinationSettings,
}

impl From<&CallFlow> for CallFlowSettings {
    fn from(flow: &CallFlow) -> Self {
        Self {
            name: flow.name.clone(),
            source: flow.source.clone(),
            recording: flow.recording,
            ai_enabled: flow.ai_enabled,
            post_call_webhook: flow.post_call_webhook.settings.clone(),
        }
    }
}

/// A flow as a call meets it, its destination shared.
#[derive(Clone)]
pub(crate) struct OpenFlow {
    pub flow: CallFlow,
    pub destination: Arc<Destination>,
}

const INSERT: &str = "INSERT INTO call_flows (business_id, id, name, source, recording, ai_enabled, version, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7)";
const UPDATE: &str = "UPDATE call_flows SET name = ?3, source = ?4, recording = ?5, ai_enabled = ?6, version = version + 1, updated_at = ?7
    WHERE business_id = ?1 AND id = ?2";
const DELETE: &str = "DELETE FROM call_flows WHERE business_id = ?1 AND id = ?2";
const DETACH_NUMBERS: &str =
    "UPDATE numbers SET call_flow_id = NULL, updated_at = ?3 WHERE business_id = ?1 AND call_flow_id = ?2";
const LISTED: &str =
    "f.business_id = ?1 AND f.id < ?2 AND f.name LIKE ?4 ESCAPE '\\' ORDER BY f.id DESC LIMIT ?3";
const COUNT: &str = "SELECT count(*) FROM call_flows WHERE business_id = ?1";

impl Store {
    /// Makes a call flow, its webhook signed with `secret`.
    pub async fn create_call_flow(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<CallFlow>)>,
        settings: CallFlowSettings,
        secret: SigningSecret,
    ) -> StoreResult<Answer<CallFlow>> {
        self.write_once(business_id, once, move |tx| {
            create(tx, business_id, settings.clone(), secret.clone())
        })
        .await
    }

    /// A call flow.
    pub async fn call_flow(&self, business_id: BusinessId, id: CallFlowId) -> StoreResult<CallFlow> {
        self.read(move |tx| Ok(find(tx, business_id, id)?.ok_or(StoreError::NotFound("call flow"))?.flow))
            .await
    }

    /// The business's call flows, newest first; where `search` is given, those that have it in their name.
    pub async fn list_call_flows(
        &self,
        business_id: BusinessId,
        search: Option<String>,
        before: Option<CallFlowId>,
        limit: usize,
    ) -> StoreResult<Page<CallFlow>> {
        self.read(move |tx| {
            let before = before.unwrap_or(CallFlowId::from_bytes([0xff; 16]));
            let pattern = like(search.as_deref().unwrap_or_default());
            let params = [business_id.into(), before.into(), (limit as u64 + 1).into(), pattern.into()];
            let rows = tx.sql().rows(&select(LISTED), &params, read)?;
            let flows =
                rows.into_iter().map(|row| Ok(open(tx, row)?.flow)).collect::<StoreResult<Vec<_>>>()?;
            Ok(Page::cut(flows, limit))
        })
        .await
    }

    /// Changes a call flow: `change` sees it as it stands and gives what it is to be, in one transaction.
    pub async fn update_call_flow(
        &self,
        business_id: BusinessId,
        id: CallFlowId,
        change: impl Fn(&CallFlow) -> Result<CallFlowSettings, Invalid> + Send + 'static,
    ) -> StoreResult<CallFlow> {
        self.write(move |tx| {
            let before = find(tx, business_id, id)?.ok_or(StoreError::NotFound("call flow"))?;
            let settings = change(&before.flow)?;
            update(tx, &before, &settings)
        })
        .await
    }

    /// Deletes a call flow: its numbers run nothing, what is pending is cancelled, its calls stay.
    pub async fn delete_call_flow(&self, business_id: BusinessId, id: CallFlowId) -> StoreResult<()> {
        self.write(move |tx| {
            let found = find(tx, business_id, id)?.ok_or(StoreError::NotFound("call flow"))?;
            let now = tx.now();
            tx.sql().execute(DETACH_NUMBERS, &[business_id.into(), id.into(), now.into()])?;
            tx.sql().execute(DELETE, &[business_id.into(), id.into()])?;
            cancel_lane(tx, business_id, found.destination.id, "the call flow was deleted")
        })
        .await
    }

    /// Gives the webhook a new signing secret; the old one signs beside it for 24 hours. Where `seen` is given, only if the flow was not
    /// changed since it stood so: the same form sent twice would end the secret that receivers have.
    pub async fn rotate_signing_secret(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<()>)>,
        id: CallFlowId,
        secret: SigningSecret,
        seen: Option<Timestamp>,
    ) -> StoreResult<Answer<()>> {
        self.write_once(business_id, once, move |tx| {
            let found = find(tx, business_id, id)?.ok_or(StoreError::NotFound("call flow"))?;
            if seen.is_some_and(|seen| seen != found.flow.updated_at) {
                let reason = "the call flow was changed meanwhile, maybe by the same form sent twice: look at it, and make another secret only if the one before is not needed";
                return Err(StoreError::Conflict(reason.to_owned()));
            }
            let settings = CallFlowSettings::from(&found.flow);
            let mut destination = (*found.destination).clone();
            let until = tx.now().after(SECRET_ROTATION);
            let previous = Some((destination.signing.current, until));
            destination.signing = SigningSecrets { current: secret.clone(), previous };
            save(tx, &destination, &settings)
        })
        .await
    }
}

/// The flow as it stands in this transaction.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    id: CallFlowId,
) -> StoreResult<Option<OpenFlow>> {
    let sql = select("f.business_id = ?1 AND f.id = ?2");
    let row = tx.sql().row_of_configuration(&sql, &[business_id.into(), id.into()], read)?;
    row.map(|row| open(tx, row)).transpose()
}

/// Whether the business has the flow.
pub(crate) fn exists(tx: &mut Tx<'_>, business_id: BusinessId, id: CallFlowId) -> StoreResult<bool> {
    tx.sql().exists(
        "SELECT 1 FROM call_flows WHERE business_id = ?1 AND id = ?2",
        &[business_id.into(), id.into()],
    )
}

fn create(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    settings: CallFlowSettings,
    secret: SigningSecret,
) -> StoreResult<CallFlow> {
    if tx.sql().count(COUNT, &[business_id.into()])? >= crate::limits::CALL_FLOWS_MAX {
        return Err(StoreError::Conflict(format!(
            "the business has {} call flows, the most it may: delete one first",
            crate::limits::CALL_FLOWS_MAX
        )));
    }
    let now = tx.now();
    let id = CallFlowId::new(now, tx.random());
    tx.sql().execute(
        INSERT,
        &[
            business_id.into(),
            id.into(),
            (&settings.name).into(),
            settings.source.as_ref().into(),
            settings.recording.into(),
            settings.ai_enabled.into(),
            now.into(),
        ],
    )?;
    let destination = Destination {
        id: DestinationId::new(now, tx.random()),
        business_id,
        call_flow_id: id,
        settings: settings.post_call_webhook,
        signing: SigningSecrets { current: secret, previous: None },
    };
    destination::insert(tx, &destination)?;
    Ok(CallFlow {
        id,
        business_id,
        name: settings.name,
        source: settings.source,
        recording: settings.recording,
        ai_enabled: settings.ai_enabled,
        post_call_webhook: destination,
        created_at: now,
        updated_at: now,
    })
}

fn update(tx: &mut Tx<'_>, before: &OpenFlow, settings: &CallFlowSettings) -> StoreResult<CallFlow> {
    let flow = &before.flow;
    let mut destination = (*before.destination).clone();
    destination.settings = settings.post_call_webhook.clone();
    save(tx, &destination, settings)?;
    if flow.post_call_webhook.settings.enabled && !settings.post_call_webhook.enabled {
        cancel_lane(tx, flow.business_id, destination.id, "the webhook was switched off")?;
    } else if flow.ai_enabled && !settings.ai_enabled {
        let job = Job::EndWaiting { lane: destination.id };
        job::start(tx, flow.business_id, &job)?;
    }
    let after = find(tx, flow.business_id, flow.id)?.ok_or(StoreError::NotFound("call flow"))?;
    Ok(after.flow)
}

fn save(tx: &mut Tx<'_>, destination: &Destination, settings: &CallFlowSettings) -> StoreResult<()> {
    let now = tx.now();
    tx.sql().execute(
        UPDATE,
        &[
            destination.business_id.into(),
            destination.call_flow_id.into(),
            (&settings.name).into(),
            settings.source.as_ref().into(),
            settings.recording.into(),
            settings.ai_enabled.into(),
            now.into(),
        ],
    )?;
    destination::update(tx, destination)?;
    tx.tell(Committed::LaneChanged(destination.id));
    Ok(())
}

fn cancel_lane(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    lane: DestinationId,
    reason: &str,
) -> StoreResult<()> {
    tx.tell(Committed::LaneChanged(lane));
    job::start(tx, business_id, &Job::CancelLane { lane, reason: reason.to_owned() })
}

struct FlowRow {
    version: u64,
    id: CallFlowId,
    name: String,
    source: Option<String>,
    recording: bool,
    ai_enabled: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    webhook: destination::Stored,
}

fn select(condition: &str) -> String {
    format!(
        "SELECT {columns}, f.version, f.id, f.name, f.source, f.recording, f.ai_enabled, f.created_at, f.updated_at
        FROM call_flows f
        JOIN destinations d ON d.business_id = f.business_id AND d.call_flow_id = f.id AND d.is_post_call_webhook = 1
        WHERE {condition}",
        columns = destination::COLUMNS
    )
}

fn read(row: &dyn Row) -> StoreResult<FlowRow> {
    const FIRST: usize = destination::COLUMNS_COUNT;
    Ok(FlowRow {
        webhook: destination::read(row, 0)?,
        version: row.number(FIRST)?,
        id: row.id(FIRST + 1)?,
        name: row.text(FIRST + 2)?,
        source: row.opt_text(FIRST + 3)?,
        recording: row.bool(FIRST + 4)?,
        ai_enabled: row.bool(FIRST + 5)?,
        created_at: row.time(FIRST + 6)?,
        updated_at: row.time(FIRST + 7)?,
    })
}

fn open(tx: &Tx<'_>, row: FlowRow) -> StoreResult<OpenFlow> {
    let destination = tx.destinations().open(tx.keyring(), row.version, &row.webhook)?;
    let flow = CallFlow {
        id: row.id,
        business_id: destination.business_id,
        name: row.name,
        source: row.source,
        recording: row.recording,
        ai_enabled: row.ai_enabled,
        post_call_webhook: (*destination).clone(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    };
    Ok(OpenFlow { flow, destination })
}
