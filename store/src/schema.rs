//! The tables, as diesel sees them; the same on both databases.
use diesel::{allow_tables_to_appear_in_same_query, joinable, table};

table! {
    organisations (id) {
        id -> Text,
        name -> Text,
        next_event -> BigInt,
        distributed -> BigInt,
        subscriptions_revision -> BigInt,
        created_at -> BigInt,
        revision -> BigInt,
        first_event -> BigInt,
    }
}

table! {
    clients (id) {
        id -> Text,
        organisation_id -> Text,
        name -> Text,
        secret_hash -> Binary,
        scopes -> Text,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
        revision -> BigInt,
    }
}

table! {
    devices (id) {
        id -> Text,
        organisation_id -> Text,
        client_id -> Text,
        dm_identity -> Text,
        server_id -> Text,
        client_auth -> Text,
        client_name -> Text,
        client_secret -> Binary,
        server_auth -> Nullable<Text>,
        server_name -> Text,
        server_secret -> Nullable<Binary>,
        client_proof -> Text,
        server_nonce -> Binary,
        nonce_epoch -> BigInt,
        failed_tries -> BigInt,
        failed_at -> Nullable<BigInt>,
        push_address -> Nullable<Text>,
        subscriber -> Nullable<Text>,
        tags -> Text,
        manufacturer -> Nullable<Text>,
        model -> Nullable<Text>,
        firmware_version -> Nullable<Text>,
        facts -> Text,
        last_seen_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        revision -> BigInt,
        traced_until -> Nullable<BigInt>,
        traced_messages -> BigInt,
        traced_bytes -> BigInt,
        traits_set -> Nullable<Text>,
        traits_observed -> Nullable<Text>,
    }
}

table! {
    session_records (id) {
        id -> Text,
        device_id -> Text,
        began_at -> BigInt,
        heard_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        ended_as -> Nullable<Text>,
        document -> Text,
    }
}

table! {
    session_messages (record_id, number) {
        record_id -> Text,
        number -> BigInt,
        at -> BigInt,
        document -> Binary,
        repeats -> BigInt,
    }
}

table! {
    device_identities (kind, value) {
        kind -> Text,
        value -> Text,
        device_id -> Text,
    }
}

table! {
    device_tags (organisation_id, tag, device_id) {
        organisation_id -> Text,
        tag -> Text,
        device_id -> Text,
    }
}

table! {
    strangers (dm_identity) {
        dm_identity -> Text,
        reason -> Text,
        description -> Text,
        first_seen_at -> BigInt,
        last_seen_at -> BigInt,
        times -> BigInt,
    }
}

table! {
    imports (id) {
        id -> Text,
        organisation_id -> Text,
        client_id -> Text,
        idempotency_key -> Nullable<Text>,
        fingerprint -> Text,
        state -> Text,
        line -> BigInt,
        created -> BigInt,
        refused -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        revision -> BigInt,
    }
}

table! {
    import_verdicts (import_id, first_line) {
        import_id -> Text,
        first_line -> BigInt,
        verdicts -> Text,
    }
}

table! {
    jobs (id) {
        id -> Text,
        organisation_id -> Text,
        client_id -> Text,
        client_correlator -> Nullable<Text>,
        fingerprint -> Text,
        correlator -> Nullable<Text>,
        operation_type -> Text,
        operation -> Text,
        target_type -> Text,
        target_count -> BigInt,
        state -> Text,
        outcome -> Nullable<Text>,
        counts -> Text,
        expand_cursor -> BigInt,
        expires_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        revision -> BigInt,
        acknowledgement -> Nullable<Text>,
        progress_at -> Nullable<BigInt>,
        progress_ended -> BigInt,
    }
}

table! {
    job_targets (job_id) {
        job_id -> Text,
        document -> Text,
    }
}

table! {
    job_deltas (id) {
        id -> Text,
        job_id -> Text,
        counts -> Text,
    }
}

table! {
    executions (job_id, ordinal) {
        job_id -> Text,
        ordinal -> BigInt,
        organisation_id -> Text,
        client_id -> Text,
        device_id -> Text,
        state -> Text,
        phase -> Nullable<Text>,
        attempt -> BigInt,
        progress -> Nullable<BigInt>,
        operation -> Text,
        evidence -> Text,
        outcome -> Nullable<Text>,
        detail -> Nullable<Text>,
        due_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        revision -> BigInt,
        rests_until -> Nullable<BigInt>,
    }
}

table! {
    execution_results (job_id, ordinal) {
        job_id -> Text,
        ordinal -> BigInt,
        document -> Text,
    }
}

table! {
    sessions (device_id, session, generation) {
        device_id -> Text,
        session -> Text,
        generation -> BigInt,
        is_open -> Bool,
        job_id -> Nullable<Text>,
        ordinal -> Nullable<BigInt>,
        document -> Text,
        nonce_epoch -> BigInt,
        nonce_counter -> BigInt,
        last_message -> BigInt,
        last_body -> Binary,
        last_reply -> Binary,
        created_at -> BigInt,
        updated_at -> BigInt,
        revision -> BigInt,
    }
}

table! {
    events (id) {
        id -> Text,
        organisation_id -> Text,
        client_id -> Nullable<Text>,
        number -> Nullable<BigInt>,
        #[sql_name = "type"]
        type_ -> Text,
        job_id -> Nullable<Text>,
        ordinal -> Nullable<BigInt>,
        device_id -> Nullable<Text>,
        revision -> BigInt,
        data -> Text,
        correlator -> Nullable<Text>,
        created_at -> BigInt,
        alert_type -> Nullable<Text>,
    }
}

table! {
    idempotency_keys (client_id, key) {
        client_id -> Text,
        key -> Text,
        fingerprint -> Binary,
        status -> Nullable<BigInt>,
        headers -> Nullable<Text>,
        body -> Nullable<Binary>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

table! {
    wakes (device_id) {
        device_id -> Text,
        session -> BigInt,
        state -> Text,
        is_asked -> Bool,
        attempts -> BigInt,
        attempted_at -> Nullable<BigInt>,
        trouble -> Nullable<Text>,
        next_at -> Nullable<BigInt>,
        expires_at -> Nullable<BigInt>,
        opened_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        openings -> BigInt,
    }
}

table! {
    containers (id) {
        id -> Text,
        organisation_id -> Text,
        client_id -> Text,
        state -> Text,
        partial -> Bool,
        reference -> Nullable<Text>,
        sequence -> Nullable<BigInt>,
        head -> Nullable<Text>,
        fingerprint -> Nullable<Text>,
        bytes -> BigInt,
        verdicts -> Text,
        fault -> Nullable<Text>,
        same_as -> Nullable<Text>,
        correlator -> Nullable<Text>,
        expires_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        revision -> BigInt,
        originator -> Text,
    }
}

table! {
    container_manifests (container_id) {
        container_id -> Text,
        manifest -> Binary,
        signature -> Nullable<Binary>,
    }
}

table! {
    deliverables (id) {
        id -> Text,
        container_id -> Text,
        ordinal -> BigInt,
        organisation_id -> Text,
        reference -> Text,
        kind -> Text,
        version -> Text,
        document -> Text,
        created_at -> BigInt,
        state -> Text,
    }
}

table! {
    deliverable_targets (organisation_id, kind, manufacturer, model, deliverable_id) {
        organisation_id -> Text,
        kind -> Text,
        manufacturer -> Text,
        model -> Text,
        deliverable_id -> Text,
        expires_at -> Nullable<BigInt>,
    }
}

table! {
    contents (digest) {
        digest -> Text,
        size -> BigInt,
        touched_at -> BigInt,
    }
}

table! {
    content_references (container_id, path) {
        container_id -> Text,
        path -> Text,
        deliverable_id -> Nullable<Text>,
        digest -> Text,
    }
}

table! {
    content_markers (name) {
        name -> Text,
        marker -> Text,
    }
}

table! {
    uploads (id) {
        id -> Text,
        organisation_id -> Text,
        client_id -> Text,
        length -> Nullable<BigInt>,
        digests -> Text,
        partial -> Bool,
        container_id -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        revision -> BigInt,
    }
}

table! {
    secret_rotations (device_id) {
        device_id -> Text,
        client_secret -> Binary,
        state -> Text,
        made_at -> BigInt,
    }
}

table! {
    device_nodes (device_id, path) {
        device_id -> Text,
        path -> Text,
        learned_by -> Text,
        learned_at -> BigInt,
        document -> Binary,
    }
}

table! {
    downloads (job_id, ordinal, payload) {
        job_id -> Text,
        ordinal -> BigInt,
        payload -> Text,
        size -> BigInt,
        sent -> BigInt,
        reached -> BigInt,
        requests -> BigInt,
        started_at -> BigInt,
        updated_at -> BigInt,
        revision -> BigInt,
    }
}

table! {
    subscriptions (id) {
        id -> Text,
        organisation_id -> Text,
        client_id -> Text,
        job_id -> Nullable<Text>,
        sink -> Text,
        endpoint -> Nullable<Text>,
        status -> Text,
        status_reason -> Nullable<Text>,
        purpose -> Text,
        secrets -> Binary,
        signing -> Text,
        max_events -> Nullable<BigInt>,
        events -> BigInt,
        rate -> Nullable<BigInt>,
        expires_at -> Nullable<BigInt>,
        expires_by -> Text,
        failures -> BigInt,
        failing_since -> Nullable<BigInt>,
        open_until -> Nullable<BigInt>,
        notice -> BigInt,
        is_troubled -> Bool,
        agreed_at -> Nullable<BigInt>,
        allowed_rate -> Nullable<BigInt>,
        recover_after -> Nullable<BigInt>,
        recover_until -> Nullable<BigInt>,
        recover_failed_only -> Bool,
        starts_after -> BigInt,
        change -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        revision -> BigInt,
    }
}

table! {
    endpoints (organisation_id, endpoint) {
        organisation_id -> Text,
        endpoint -> Text,
        rate -> BigInt,
        used_until -> BigInt,
    }
}

table! {
    turns (subscription_id) {
        subscription_id -> Text,
        begin_at -> BigInt,
        promised -> BigInt,
        rate -> BigInt,
    }
}

table! {
    deliveries (subscription_id, number) {
        subscription_id -> Text,
        number -> BigInt,
        event_id -> Text,
        order_key -> Text,
        state -> Text,
        attempt -> BigInt,
        attempts -> Text,
        next_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

joinable!(deliverables -> containers (container_id));
joinable!(device_tags -> devices (device_id));

allow_tables_to_appear_in_same_query!(
    containers,
    container_manifests,
    deliverables,
    deliverable_targets,
    deliveries,
    downloads,
    contents,
    content_references,
    content_markers,
    uploads,
    organisations,
    clients,
    devices,
    device_identities,
    device_nodes,
    device_tags,
    strangers,
    imports,
    import_verdicts,
    jobs,
    job_targets,
    job_deltas,
    executions,
    execution_results,
    session_messages,
    session_records,
    sessions,
    subscriptions,
    events,
    idempotency_keys,
    wakes
);
