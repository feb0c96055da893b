//! Businesses: made and named on the command line, their retention set there or by their administrators.

use crate::Store;
use crate::engine::Row;
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;
use domain::Invalid;
use domain::business::{Business, Retention, RetentionDays};
use domain::id::BusinessId;
use domain::phone_number::Country;

const INSERT: &str = "INSERT INTO businesses (id, name, default_country, created_at) VALUES (?1, ?2, ?3, ?4)";
const SELECT: &str =
    "SELECT id, name, default_country, created_at, payload_days, call_days FROM businesses WHERE id = ?1";
const SELECT_BY_NAME: &str =
    "SELECT id, name, default_country, created_at, payload_days, call_days FROM businesses WHERE name = ?1";
const SELECT_ALL: &str =
    "SELECT id, name, default_country, created_at, payload_days, call_days FROM businesses ORDER BY name";
const SET_RETENTION: &str = "UPDATE businesses SET payload_days = ?2, call_days = ?3 WHERE id = ?1";
const RENAME: &str = "UPDATE businesses SET name = ?2 WHERE name = ?1";

impl Store {
    /// Makes a business. The name must be free.
    pub async fn create_business(&self, name: String, default_country: Country) -> StoreResult<Business> {
        self.write(move |tx| create(tx, name.clone(), default_country)).await
    }

    /// Makes a business where none has the name, else gives the one that has.
    pub async fn ensure_business(&self, name: String, default_country: Country) -> StoreResult<Business> {
        self.write(move |tx| match by_name(tx, &name)? {
            Some(business) => Ok(business),
            None => create(tx, name.clone(), default_country),
        })
        .await
    }

    /// A business.
    pub async fn business(&self, id: BusinessId) -> StoreResult<Business> {
        self.read(move |tx| find(tx, id)).await
    }

    /// Changes how long a business keeps what has ended.
    pub async fn set_retention(
        &self,
        id: BusinessId,
        change: impl Fn(&Business) -> Result<Retention, Invalid> + Send + 'static,
    ) -> StoreResult<Business> {
        self.write(move |tx| {
            let business = find(tx, id)?;
            let retention = change(&business)?;
            let days = |days: Option<RetentionDays>| days.map(RetentionDays::get);
            let params = [id.into(), days(retention.payload).into(), days(retention.call).into()];
            tx.sql().execute(SET_RETENTION, &params)?;
            Ok(Business { retention, ..business })
        })
        .await
    }

    /// The business of that name.
    pub async fn business_by_name(&self, name: String) -> StoreResult<Business> {
        self.read(move |tx| by_name(tx, &name)?.ok_or(StoreError::NotFound("business"))).await
    }

    /// All businesses, by name. An operator has few.
    pub async fn list_businesses(&self) -> StoreResult<Vec<Business>> {
        self.read(list).await
    }

    /// Renames a business. The new name must be free.
    pub async fn rename_business(&self, name: String, new_name: String) -> StoreResult<Business> {
        self.write(move |tx| {
            if name != new_name && by_name(tx, &new_name)?.is_some() {
                return Err(taken(&new_name));
            }
            if tx.sql().execute(RENAME, &[(&name).into(), (&new_name).into()])? == 0 {
                return Err(StoreError::NotFound("business"));
            }
            by_name(tx, &new_name)?.ok_or(StoreError::NotFound("business"))
        })
        .await
    }
}

/// Makes a business in this transaction. The name must be free.
pub(crate) fn create(tx: &mut Tx<'_>, name: String, default_country: Country) -> StoreResult<Business> {
    if by_name(tx, &name)?.is_some() {
        return Err(taken(&name));
    }
    let now = tx.now();
    let business = Business {
        id: BusinessId::new(now, tx.random()),
        name,
        default_country,
        retention: Retention::default(),
        created_at: now,
    };
    tx.sql().execute(
        INSERT,
        &[business.id.into(), (&business.name).into(), default_country.code().into(), now.into()],
    )?;
    Ok(business)
}

/// The business as it stands in this transaction.
pub(crate) fn find(tx: &mut Tx<'_>, id: BusinessId) -> StoreResult<Business> {
    tx.sql().row(SELECT, &[id.into()], read)?.ok_or(StoreError::NotFound("business"))
}

/// All businesses, by name.
pub(crate) fn list(tx: &mut Tx<'_>) -> StoreResult<Vec<Business>> {
    tx.sql().rows(SELECT_ALL, &[], read)
}

fn by_name(tx: &mut Tx<'_>, name: &str) -> StoreResult<Option<Business>> {
    tx.sql().row(SELECT_BY_NAME, &[name.into()], read)
}

fn read(row: &dyn Row) -> StoreResult<Business> {
    Ok(Business {
        id: row.id(0)?,
        name: row.text(1)?,
        default_country: row.word(2, |code| code.parse().ok())?,
        created_at: row.time(3)?,
        retention: Retention { payload: read_days(row, 4)?, call: read_days(row, 5)? },
    })
}

fn read_days(row: &dyn Row, column: usize) -> StoreResult<Option<RetentionDays>> {
    let days = row.opt_int(column)?.map(RetentionDays::new).transpose();
    days.map_err(|refused| StoreError::Corrupt(refused.to_string()))
}

fn taken(name: &str) -> StoreError {
    StoreError::Conflict(format!("there is a business named {name:?} already: choose another name"))
}
