//! The schemas of both databases agree, and the way back is the way there.
use std::collections::BTreeSet;

use crate::harness::Database;

/// Each column as `table.column family null?`: the family is what both databases make of a type.
const SQLITE_COLUMNS: &str = "
SELECT t.name || '.' || c.name || ' ' ||
    CASE WHEN c.type = 'INTEGER' AND t.sql LIKE '%' || c.name || ' IN (0, 1)%' THEN 'BOOLEAN' ELSE c.type END ||
    CASE WHEN c.\"notnull\" THEN '' ELSE ' NULL' END || COALESCE(' DEFAULT ' || c.dflt_value, '') AS line
FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND t.name NOT LIKE 'sqlite%'";

const POSTGRES_COLUMNS: &str = "
SELECT table_name || '.' || column_name || ' ' ||
    CASE data_type WHEN 'bigint' THEN 'INTEGER' WHEN 'bytea' THEN 'BLOB' ELSE upper(data_type) END ||
    CASE is_nullable WHEN 'YES' THEN ' NULL' ELSE '' END || COALESCE(' DEFAULT ' || replace(column_default, '::text', ''), '') AS line
FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%'";

/// Each unique index as `table (columns)`, primary keys among them.
const SQLITE_UNIQUE: &str = "
SELECT t.name || ' (' || (SELECT group_concat(name) FROM (SELECT c.name FROM pragma_index_info(i.name) c ORDER BY c.seqno)) || ')' ||
    CASE WHEN i.partial THEN ' partial' ELSE '' END AS line
FROM sqlite_master t JOIN pragma_index_list(t.name) i WHERE t.type = 'table' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND i.\"unique\"";

const POSTGRES_UNIQUE: &str = "
SELECT t.relname || ' (' || (
    SELECT string_agg(a.attname, ',' ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, n)
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
) || ')' || CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END AS line
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = 'public' AND i.indisunique AND t.relname NOT LIKE '\\_\\_%'";

/// Every index and constraint in the database's own words.
const SQLITE_ALL: &str =
    "SELECT sql AS line FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE '\\_\\_%' ESCAPE '\\'";

const POSTGRES_ALL: &str = "
SELECT indexdef AS line FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE '\\_\\_%'
UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE '\\_\\_%'";

fn set(database: &Database, sqlite: &str, postgres: &str) -> BTreeSet<String> {
    database.lines(if database.is_postgres() { postgres } else { sqlite }).into_iter().collect()
}

fn everything(database: &Database) -> Vec<BTreeSet<String>> {
    vec![
        set(database, SQLITE_COLUMNS, POSTGRES_COLUMNS),
        set(database, SQLITE_UNIQUE, POSTGRES_UNIQUE),
        set(database, SQLITE_ALL, POSTGRES_ALL),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_have_the_same_tables_columns_and_unique_indexes() {
    let Some(postgres) = Database::postgres() else { return };
    let sqlite = Database::sqlite();
    drop((postgres.store().await, sqlite.store().await));
    for (sqlite_sql, postgres_sql) in [(SQLITE_COLUMNS, POSTGRES_COLUMNS), (SQLITE_UNIQUE, POSTGRES_UNIQUE)] {
        let (left, right) = (set(&sqlite, sqlite_sql, ""), set(&postgres, "", postgres_sql));
        assert!(left.len() > 10, "{left:?}");
        let differing: Vec<_> = left.symmetric_difference(&right).collect();
        assert!(differing.is_empty(), "only on one side: {differing:#?}");
    }
}

both! {
    async fn up_down_up_leaves_the_same_schema(database: Database) {
        let store = database.store().await;
        let first = everything(&database);
        store.revert().await.unwrap();
        assert!(everything(&database).iter().all(BTreeSet::is_empty), "{:?}", everything(&database));
        let pending = store.pending().await.unwrap().len();
        assert_eq!(store.migrate().await.unwrap().len(), pending);
        assert!(store.pending().await.unwrap().is_empty() && store.migrate().await.unwrap().is_empty());
        assert_eq!(everything(&database), first);
    }
}
