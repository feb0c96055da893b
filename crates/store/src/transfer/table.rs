//! The tables that a store is made of, and the statements that read and write one of them in steps.

use super::mark::{ARRIVING, AWAY};
use crate::engine::Value;
use crate::error::StoreResult;
use crate::limits::{ROWS_CHANGED_MAX, TRANSFER_STEP_BYTES_MAX};
use crate::tx::Tx;

/// A table that holds what a user has, whatever engine's. What an engine keeps for itself is none of them.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What tells its rows apart, in the order of an index.
    pub key: &'static [&'static str],
}

/// All of them; none comes before one that its rows name by a foreign key.
pub const TABLES: [Table; 25] = [
    Table { name: "businesses", key: &["id"] },
    Table { name: "api_keys", key: &["business_id", "id"] },
    Table { name: "users", key: &["id"] },
    Table { name: "memberships", key: &["user_id", "business_id"] },
    Table { name: "invitations", key: &["business_id", "id"] },
    Table { name: "recovery_codes", key: &["user_id", "code_hash"] },
    Table { name: "sessions", key: &["user_id", "id"] },
    Table { name: "sign_in_links", key: &["token_hash"] },
    Table { name: "call_flows", key: &["business_id", "id"] },
    Table { name: "destinations", key: &["business_id", "call_flow_id", "id"] },
    Table { name: "numbers", key: &["business_id", "id"] },
    Table { name: "sources", key: &["business_id", "id"] },
    Table { name: "source_calls", key: &["business_id", "source_id", "source_call_id"] },
    Table { name: "calls", key: &["business_id", "id"] },
    Table { name: "payloads", key: &["id"] },
    Table { name: "deliveries", key: &["business_id", "id"] },
    Table { name: "attempts", key: &["business_id", "delivery_id", "attempt", "started_at"] },
    Table {
        name: "delivery_statistics",
        key: &["business_id", "minute", "call_flow_id", "status", "latency_bucket"],
    },
    Table { name: "idempotency_keys", key: &["business_id", "key"] },
    Table { name: "idempotency_subjects", key: &["business_id", "call_id", "key"] },
    Table { name: "tombstones", key: &["business_id", "hash"] },
    Table { name: "jobs", key: &["business_id", "id"] },
    Table { name: "redeliveries", key: &["business_id", "id"] },
    Table { name: "queues", key: &["id"] },
    Table { name: META, key: &["name"] },
];
/// The table of a store's own marks. Some of them are about the place where it lies, and stay there.
const META: &str = "meta";

/// Name, and whether its values may be long.
const COLUMNS_SQLITE: &str =
    "SELECT name, type IN ('TEXT', 'BLOB') FROM pragma_table_info(?1) ORDER BY name COLLATE BINARY";
const COLUMNS_POSTGRES: &str =
    "SELECT column_name::TEXT, data_type IN ('text', 'bytea') FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = ?1 ORDER BY column_name::TEXT COLLATE \"C\"";

/// A row, in the order of the columns' names.
pub type Row = Vec<Value<'static>>;

/// The statements on a table; both engines take them.
#[derive(Debug)]
pub struct Statements {
    /// Which table.
    pub table: Table,
    columns: Vec<String>,
    count: String,
    exists: String,
    first: String,
    after: String,
    insert: String,
}

impl Statements {
    /// Reads what columns the table has.
    pub fn of(tx: &mut Tx<'_>, table: Table, is_a_file: bool) -> StoreResult<Self> {
        let select = if is_a_file { COLUMNS_SQLITE } else { COLUMNS_POSTGRES };
        let columns = tx.sql().rows(select, &[table.name.into()], |row| Ok((row.text(0)?, row.bool(1)?)))?;
        let bytes = columns.iter().filter(|(_, is_long)| *is_long);
        let bytes: Vec<_> = bytes.map(|(name, _)| format!("coalesce(octet_length({name}), 0)")).collect();
        let bytes = if bytes.is_empty() { "0".to_owned() } else { bytes.join(" + ") };
        let columns: Vec<_> = columns.into_iter().map(|(name, _)| name).collect();
        let Table { name, key } = table;
        let (names, key) = (columns.join(", "), key.join(", "));
        let moves = if name == META {
            format!("name NOT IN ('erased', 'probe', '{AWAY}', '{ARRIVING}')")
        } else {
            "TRUE".to_owned()
        };
        // The last row of a step is the one that fills it: more than that is never in memory, however long the rows are.
        let step = |which: &str| {
            format!(
                "SELECT {names} FROM (SELECT {names}, {bytes} AS row_bytes, sum({bytes}) OVER (ORDER BY {key}) AS step_bytes
                FROM (SELECT {names} FROM {name} WHERE {moves}{which} ORDER BY {key} LIMIT {ROWS_CHANGED_MAX}) AS of_step) AS measured
                WHERE step_bytes - row_bytes < {TRANSFER_STEP_BYTES_MAX} ORDER BY {key}"
            )
        };
        let after = format!(" AND ({key}) > ({})", parameters(table.key.len()));
        Ok(Self {
            table,
            count: format!("SELECT count(*) FROM {name} WHERE {moves}"),
            exists: format!("SELECT 1 FROM {name} WHERE {moves} LIMIT 1"),
            first: step(""),
            after: step(&after),
            insert: format!("INSERT INTO {name} ({names}) VALUES ({})", parameters(columns.len())),
            columns,
        })
    }

    /// Its rows.
    pub fn count(&self, tx: &mut Tx<'_>) -> StoreResult<u64> {
        tx.sql().count(&self.count, &[])
    }

    /// Whether it has any.
    pub fn has_rows(&self, tx: &mut Tx<'_>) -> StoreResult<bool> {
        tx.sql().exists(&self.exists, &[])
    }

    /// The rows that follow on a key, as many as one step takes; none: there are no more.
    pub fn read(&self, tx: &mut Tx<'_>, after: Option<&[Value<'static>]>) -> StoreResult<Vec<Row>> {
        let (select, params) = after.map_or((&self.first, [].as_slice()), |key| (&self.after, key));
        tx.sql().rows(select, params, |row| {
            (0..self.columns.len()).map(|column| Ok(row.value(column)?.into_owned())).collect()
        })
    }

    /// Writes rows that are not there yet. None of them hangs on another.
    pub fn write(&self, tx: &mut Tx<'_>, rows: &[Row]) -> StoreResult<()> {
        rows.iter().try_for_each(|row| tx.sql().put(&self.insert, row))
    }

    /// A row's key.
    pub fn key_of(&self, row: &Row) -> Vec<Value<'static>> {
        let values = |name: &&str| {
            let at = self.columns.iter().position(|column| column == name);
            at.and_then(|at| row.get(at)).cloned().unwrap_or(Value::Null)
        };
        self.table.key.iter().map(values).collect()
    }
}

/// `?1, ?2 …`
fn parameters(count: usize) -> String {
    let each: Vec<_> = (1..=count).map(|number| format!("?{number}")).collect();
    each.join(", ")
}
