//! The forms in which a notification goes out by a datagram.
use std::time::Duration;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_protocol::notification::{udh, wsp};
use dmwsi_simulator::{Behaviour, Ear};
use dmwsi_worker::push::Form;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::handset::{Handset, SCOPES};
use crate::harness::server::Server;

both! {
    /// CC3, S-NT-01: some carriers want the header of a short message, or the long header of a push; a device understands each.
    async fn a_datagram_has_the_form_that_the_operator_has_set(database: Database) {
        for form in [Form::Plain, Form::Udh, Form::Wsp, Form::WspText] {
            let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| {
                config.push.udp_form = form;
                config.push.retry_first_ms = 3_600_000;
                config.gateway.seen_flush_seconds = 1;
            });
            let server = server.await;
            let portal = server.portal("acme", SCOPES).await;
            let ear = Ear::open([127, 0, 0, 1].into(), 0).await.unwrap();
            let push = json!({"type": "UDP", "host": "127.0.0.1", "port": ear.address().port()});
            let mut handset = Handset::register_at(&portal, server.url(), Behaviour::default(), &push).await;
            handset.device.check_in().await.unwrap();
            let path = format!("/v1/devices/{}/wake", handset.id);
            portal.post(&path, &Value::Null).await.of(202);
            let datagram = tokio::time::timeout(Duration::from_secs(10), ear.listen()).await.unwrap().unwrap();
            let session = handset.device.hear(&datagram).unwrap();
            let [_, low] = session.to_be_bytes();
            let named = b"application/vnd.syncml.notification";
            let has_name = datagram.windows(named.len()).any(|part| part == named);
            match form {
                Form::Plain => assert!(wsp::read(&datagram).is_err() && !has_name),
                Form::Udh => {
                    let (header, push) = udh::Header::decode(&datagram).unwrap();
                    assert_eq!((header.destination, header.part, &datagram[..7]), (2948, None, &b"\x06\x05\x04\x0B\x84\xC0\x02"[..]));
                    assert_eq!(push[..6], [low, 6, 3, 0xC4, 0xAF, 0x87]);
                }
                Form::Wsp => assert_eq!(datagram[..6], [low, 6, 3, 0xC4, 0xAF, 0x87]),
                Form::WspText => assert!(datagram[..2] == [low, 6] && has_name && wsp::read(&datagram).is_ok()),
            }
            handset.device.answer_call(session).await.unwrap();
            eventually("it is answered", async || portal.get(&path).await.of(200)["state"] == "ANSWERED").await;
            server.stop().await;
        }
    }
}
