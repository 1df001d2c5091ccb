//! The queue's table, as diesel sees it.
use diesel::table;

table! {
    tasks (id) {
        id -> Text,
        queue -> Text,
        key -> Nullable<Text>,
        payload -> Text,
        state -> Text,
        run_at -> BigInt,
        attempt -> BigInt,
        max_attempts -> BigInt,
        claim -> BigInt,
        worker -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        again -> Bool,
        error -> Nullable<Text>,
        created_at -> BigInt,
    }
}
