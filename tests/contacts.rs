//! What the gateway reads and writes of devices, and who knocks without being let in.
use dmwsi_domain::account::Side;
use dmwsi_domain::contact::StrangerReason;
use dmwsi_domain::device::{NewDevice, Owner};
use dmwsi_domain::facts::Facts;
use dmwsi_domain::id::DeviceId;
use dmwsi_domain::{Error, Timestamp};
use dmwsi_store::{Keys, StoredSession};
use serde_json::json;

use crate::harness::server::Server;

both! {
    /// AD-2: what the gateway notes of a device, and that it changes what it should and nothing else.
    async fn a_contact_carries_what_the_gateway_needs_and_keeps_what_it_learns(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", "devices:read").await;
        let keys = Keys::new([(1, [7; 32])]).unwrap();
        let id = DeviceId::new(server.clock.new_id());
        let client = json!({"auth": "DIGEST", "name": "n", "secret": "swordfish"});
        let new: NewDevice = serde_json::from_value(json!({"dmIdentity": "a", "account": {"serverId": "dm", "client": client}})).unwrap();
        let owner = Owner { organisation: portal.organisation, client: portal.client };
        let device = new.register(id, owner, Timestamp::from_micros(1), |account| keys.seal_account(id, account)).unwrap();
        let made = device.clone();
        server.store().write(move |tx| tx.create_device(&made)).await.unwrap();
        let contact = async || server.store().read(|tx| tx.contact("a")).await.unwrap().unwrap();

        let first = contact().await;
        assert_eq!((first.device, first.organisation, &first.account), (id, portal.organisation, &device.account));
        assert_eq!((first.nonce_epoch, first.failed_tries, first.revision, first.has_work), (0, 0, 1, false));
        assert_eq!(keys.open_secret(id, Side::Client, &first.account.client.secret).unwrap().expose(), b"swordfish");
        assert_eq!(server.store().read(|tx| tx.contact("b")).await.unwrap(), None);

        let (now, ids) = (Timestamp::from_micros(9), server.clock.new_ids());
        let facts = Facts { model: Some("X1".into()), firmware_version: Some("2".into()), ..Facts::default() };
        let learned = facts.clone();
        server
            .store()
            .write(move |tx| {
                let mut ids = ids;
                tx.save_nonce_epoch(id, 3)?;
                tx.save_server_nonce(id, b"nonce")?;
                assert_eq!(tx.count_failed_try(id, now)?, 1);
                assert_eq!(tx.count_failed_try(id, now)?, 2);
                tx.touch(&[(id, Timestamp::from_micros(20)), (DeviceId::new(ids.new_id()), now)])?;
                tx.touch(&[(id, Timestamp::from_micros(10))])?;
                tx.save_facts(id, &learned, now, &mut ids).map(drop)
            })
            .await
            .unwrap();
        let next = contact().await;
        assert_eq!((next.nonce_epoch, next.server_nonce.as_slice(), next.failed_tries), (3, b"nonce".as_slice(), 2));
        assert_eq!((next.failed_at, next.last_seen_at), (Some(now), Some(Timestamp::from_micros(20))), "an earlier moment changes nothing");
        assert_eq!((next.facts, next.revision), (facts, 2), "facts move the revision, the rest does not");
        assert!(server.store().write(move |tx| tx.save_nonce_epoch(id, 3)).await.is_err(), "an epoch is begun once");
        server.store().write(move |tx| tx.clear_failed_tries(id)).await.unwrap();
        assert_eq!((contact().await.failed_tries, contact().await.failed_at), (0, None));
        assert_eq!(portal.get("/v1/devices?model=X1&firmwareVersion=2").await.of(200)["items"].as_array().unwrap().len(), 1);
        assert_eq!(database.lines("SELECT type || ' ' || revision AS line FROM events"), ["dmwsi.v1.device-updated 2"]);
        server.stop().await;
    }

    /// A message is read anew then, and its sender is a stranger.
    async fn nothing_is_written_of_a_device_that_was_deleted_meanwhile(database: Database) {
        let server = Server::on(&database).await;
        let (device, now, ids) = (DeviceId::new(server.clock.new_id()), server.clock.now(), server.clock.new_ids());
        let session = StoredSession {
            device,
            session: "1".to_owned(),
            generation: 1,
            execution: None,
            document: "{}".to_owned(),
            nonce_epoch: 0,
            nonce_counter: 0,
            last_message: 1,
            last_body: Vec::new(),
            last_reply: Vec::new(),
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let inserted = server.store().write(move |tx| tx.insert_session(&session)).await;
        assert!(matches!(inserted, Err(Error::Stale { .. })), "{inserted:?}");
        let learned = server.store().write(move |tx| tx.save_facts(device, &Facts::default(), now, &mut ids.clone())).await;
        assert!(matches!(learned, Err(Error::Stale { .. })), "{learned:?}");
        server.stop().await;
    }

    /// AD-2: whoever knocks is shown once, and only so many are kept.
    async fn strangers_are_noted_once_each_and_only_so_many(database: Database) {
        let server = Server::on(&database).await;
        let note = async |name: &'static str, reason, at| {
            let noted = server.store().write(move |tx| tx.note_stranger(name, reason, &"é".repeat(600), Timestamp::from_micros(at), 2));
            noted.await.unwrap();
        };
        note("a", StrangerReason::Unknown, 1).await;
        note("b", StrangerReason::Unknown, 2).await;
        note("a", StrangerReason::Credentials, 3).await;
        note("c", StrangerReason::Unknown, 4).await;
        let strangers = server.store().read(|tx| tx.strangers(10)).await.unwrap();
        let seen: Vec<_> = strangers.iter().map(|one| (one.dm_identity.as_str(), one.reason, one.times)).collect();
        assert_eq!(seen, [("c", StrangerReason::Unknown, 1), ("a", StrangerReason::Credentials, 2)]);
        assert!(strangers.iter().all(|one| one.description.len() == dmwsi_store::MAX_DESCRIPTION));
        server.stop().await;
    }
}
