//! Tracking numbers.

use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::idempotency::{Answer, Once, Render};
use crate::list::{Page, Search, Table, like, like_number};
use crate::tx::Tx;
use crate::{Store, call_flow};
use domain::Invalid;
use domain::attribution::Attribution;
use domain::id::{BusinessId, CallFlowId, NumberId};
use domain::number::TrackingNumber;
use domain::phone_number::{Country, PhoneNumber};
use std::ops::ControlFlow;

/// What a user can set of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberSettings {
    /// See [`TrackingNumber`].
    pub phone_number: PhoneNumber,
    /// See [`TrackingNumber`].
    pub friendly_name: Option<String>,
    /// See [`TrackingNumber`].
    pub call_flow_id: Option<CallFlowId>,
    /// See [`TrackingNumber`].
    pub attribution: Attribution,
}

impl From<&TrackingNumber> for NumberSettings {
    fn from(number: &TrackingNumber) -> Self {
        Self {
            phone_number: number.phone_number.clone(),
            friendly_name: number.friendly_name.clone(),
            call_flow_id: number.call_flow_id,
            attribution: number.attribution.clone(),
        }
    }
}

const COLUMNS: &str = "id, business_id, phone_number, friendly_name, call_flow_id, source, utm_source, utm_medium, utm_campaign,
    utm_term, utm_content, created_at, updated_at";
const NUMBER_SEARCHED: &str = "phone_number LIKE ? ESCAPE '\\'";
const TEXTS_SEARCHED: &str = "friendly_name LIKE ? ESCAPE '\\' OR source LIKE ? ESCAPE '\\'";
const TABLE: Table = Table { name: "numbers", columns: COLUMNS, business: "business_id", id: "id" };
const INSERT: &str = "INSERT INTO numbers (business_id, id, phone_number, friendly_name, call_flow_id, source, utm_source, utm_medium,
        utm_campaign, utm_term, utm_content, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12)";
const UPDATE: &str = "UPDATE numbers SET phone_number = ?3, friendly_name = ?4, call_flow_id = ?5, source = ?6, utm_source = ?7,
        utm_medium = ?8, utm_campaign = ?9, utm_term = ?10, utm_content = ?11, updated_at = ?12
    WHERE business_id = ?1 AND id = ?2";
const DELETE: &str = "DELETE FROM numbers WHERE business_id = ?1 AND id = ?2";
const OTHER_HOLDER: &str = "SELECT 1 FROM numbers WHERE business_id = ?1 AND phone_number = ?2 AND id <> ?3";

impl Store {
    /// Adds a number. The business must not have it already; its call flow must be there.
    pub async fn create_number(
        &self,
        business_id: BusinessId,
        once: Option<(Once, Render<TrackingNumber>)>,
        settings: NumberSettings,
    ) -> StoreResult<Answer<TrackingNumber>> {
        self.write_once(business_id, once, move |tx| {
            let id = NumberId::new(tx.now(), tx.random());
            save(tx, INSERT, business_id, id, &settings)
        })
        .await
    }

    /// A number.
    pub async fn number(&self, business_id: BusinessId, id: NumberId) -> StoreResult<TrackingNumber> {
        self.read(move |tx| find(tx, business_id, id)).await
    }

    /// The business's numbers, newest first; where `search` is given, those that have it in the number, the name or the source.
    pub async fn list_numbers(
        &self,
        business_id: BusinessId,
        search: Option<String>,
        before: Option<NumberId>,
        limit: usize,
    ) -> StoreResult<Page<TrackingNumber>> {
        self.read(move |tx| {
            let (number, text) = (search.as_deref().map(like_number), search.as_deref().map(like));
            let mut search = Search::default();
            search
                .within("business_id = ?", Some(business_id))
                .within("id < ?", before)
                .asked_either([(NUMBER_SEARCHED, number), (TEXTS_SEARCHED, text)]);
            search.page(tx, business_id, &TABLE, limit, |row| Ok((read(row)?, ControlFlow::Continue(()))))
        })
        .await
    }

    /// Changes a number: `change` sees it as it stands and gives what it is to be, in one transaction.
    pub async fn update_number(
        &self,
        business_id: BusinessId,
        id: NumberId,
        change: impl Fn(&TrackingNumber) -> Result<NumberSettings, Invalid> + Send + 'static,
    ) -> StoreResult<TrackingNumber> {
        self.write(move |tx| {
            let settings = change(&find(tx, business_id, id)?)?;
            save(tx, UPDATE, business_id, id, &settings)
        })
        .await
    }

    /// Removes a number; its calls stay.
    pub async fn delete_number(&self, business_id: BusinessId, id: NumberId) -> StoreResult<()> {
        self.write(move |tx| match tx.sql().execute(DELETE, &[business_id.into(), id.into()])? {
            0 => Err(StoreError::NotFound("number")),
            _ => Ok(()),
        })
        .await
    }
}

/// The business's row of a phone number.
pub(crate) fn by_phone_number(
    tx: &mut Tx<'_>,
    business_id: BusinessId,
    number: &PhoneNumber,
) -> StoreResult<Option<TrackingNumber>> {
    let sql = format!("SELECT {COLUMNS} FROM numbers WHERE business_id = ?1 AND phone_number = ?2");
    tx.sql().row_of_configuration(&sql, &[business_id.into(), number.as_str().into()], read)
}

fn find(tx: &mut Tx<'_>, business_id: BusinessId, id: NumberId) -> StoreResult<TrackingNumber> {
    let sql = format!("SELECT {COLUMNS} FROM numbers WHERE business_id = ?1 AND id = ?2");
    tx.sql().row(&sql, &[business_id.into(), id.into()], read)?.ok_or(StoreError::NotFound("number"))
}

fn save(
    tx: &mut Tx<'_>,
    sql: &str,
    business_id: BusinessId,
    id: NumberId,
    settings: &NumberSettings,
) -> StoreResult<TrackingNumber> {
    let number = settings.phone_number.as_str();
    if tx.sql().exists(OTHER_HOLDER, &[business_id.into(), number.into(), id.into()])? {
        return Err(StoreError::Conflict(format!("the business has the number {number} already")));
    }
    if let Some(flow) = settings.call_flow_id
        && !call_flow::exists(tx, business_id, flow)?
    {
        return Err(Invalid::field("call_flow_id", "names no call flow of this business").into());
    }
    let attribution = &settings.attribution;
    let now = tx.now();
    tx.sql().execute(
        sql,
        &[
            business_id.into(),
            id.into(),
            number.into(),
            settings.friendly_name.as_ref().into(),
            settings.call_flow_id.into(),
            attribution.source.as_ref().into(),
            attribution.utm_source.as_ref().into(),
            attribution.utm_medium.as_ref().into(),
            attribution.utm_campaign.as_ref().into(),
            attribution.utm_term.as_ref().into(),
            attribution.utm_content.as_ref().into(),
            now.into(),
        ],
    )?;
    find(tx, business_id, id)
}

fn read(row: &dyn Row) -> StoreResult<TrackingNumber> {
    Ok(TrackingNumber {
        id: row.id(0)?,
        business_id: row.id(1)?,
        phone_number: row.word(2, |text| PhoneNumber::parse(text, Country::US).ok())?,
        friendly_name: row.opt_text(3)?,
        call_flow_id: row.opt_id(4)?,
        attribution: Attribution {
            source: row.opt_text(5)?,
            utm_source: row.opt_text(6)?,
            utm_medium: row.opt_text(7)?,
            utm_campaign: row.opt_text(8)?,
            utm_term: row.opt_text(9)?,
            utm_content: row.opt_text(10)?,
            ..Attribution::default()
        },
        created_at: row.time(11)?,
        updated_at: row.time(12)?,
    })
}
