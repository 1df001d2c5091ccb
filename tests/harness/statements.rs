//! The statements that a call sends to the database, and how the database would carry them out.
use std::collections::HashMap;
use std::sync::{Mutex, Once, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use dmwsi_store::{DatabaseUrl, Settings, Store};
use tracing::field::{Field, Visit};
use tracing::{Event, Instrument as _, Level, Subscriber, info_span};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::Database;
use super::database::sqlite;

/// What was heard in which span.
static HEARD: Mutex<Option<HashMap<u64, Vec<String>>>> = Mutex::new(None);

struct Listener;

struct Statement<'s>(&'s mut Vec<String>);

impl Visit for Statement<'_> {
    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "statement" {
            self.0.push(value.to_owned());
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some(span) = context.event_span(event) {
            let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
            event.record(&mut Statement(heard.get_or_insert_default().entry(span.id().into_u64()).or_default()));
        }
    }
}

/// Opens the database so that [`sent`] hears it: every statement is logged as a slow one.
pub(crate) fn open(database: &Database) -> Store {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let targets = Targets::new().with_target("dmwsi_store::watch", Level::WARN).with_target(module_path!(), Level::INFO);
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(targets).with(Listener)).unwrap();
    });
    Store::open(&Settings { slow_query_ms: 0, ..database.settings() }).unwrap()
}

/// The queries that a call on such a store sends, those that only begin and end transactions left out.
pub(crate) async fn sent(call: impl Future) -> Vec<String> {
    let span = info_span!("heard");
    let id = span.id().unwrap().into_u64();
    call.instrument(span.clone()).await;
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(|heard| heard.remove(&id));
    let is_query = |statement: &String| ["SELECT", "DELETE", "UPDATE", "WITH"].iter().any(|verb| statement.starts_with(verb));
    heard.unwrap_or_default().into_iter().filter(is_query).collect()
}

#[derive(diesel::QueryableByName)]
struct Detail {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    line: String,
}

/// How the database carries a statement out, whatever its values and however few its rows: scans and sorts only where there is no other way.
pub(crate) fn plan(database: &Database, statement: &str) -> String {
    let lines: Vec<String> = match &database.url {
        DatabaseUrl::Sqlite(path) => {
            let mut conn = sqlite(path);
            let details: Vec<Detail> = sql_query(format!("EXPLAIN QUERY PLAN {statement}")).load(&mut conn).unwrap();
            details.into_iter().map(|line| line.detail).collect()
        }
        DatabaseUrl::Postgres(url) => {
            let mut conn = PgConnection::establish(url).unwrap();
            let values = (1..100).take_while(|n| statement.contains(&format!("${n}"))).map(|_| "NULL").collect::<Vec<_>>();
            let given = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
            conn.batch_execute(&format!(
                "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off;
                PREPARE asked AS {statement}"
            ))
            .unwrap();
            let lines: Vec<Line> = sql_query(format!("EXPLAIN EXECUTE asked{given}")).load(&mut conn).unwrap();
            lines.into_iter().map(|line| line.line).collect()
        }
    };
    lines.join("\n")
}

/// Fails where a plan reads a whole table or sorts.
#[track_caller]
pub(crate) fn assert_indexed(statement: &str, plan: &str) {
    for bad in ["SCAN ", "TEMP B-TREE", "Seq Scan", "Sort"] {
        assert!(!plan.contains(bad), "{statement}\n{plan}");
    }
}
