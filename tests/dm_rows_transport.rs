//! Rows of the conformance list: HTTP and bodies.
use dmwsi_protocol::encoding::{Encoding, Family, Form, MAX_DEPTH, MAX_ELEMENTS, Name, PublicId};
use serde_json::json;

use crate::harness::phone::{FINAL, PACKAGE_1, results};
use crate::harness::talk::{ENCODINGS, Ground, Talk};

/// A first message that was never sent, in that form.
fn first(talk: &mut Talk, form: Form) -> Vec<u8> {
    talk.begin();
    talk.number = 1;
    let text = talk.xml(&talk.credentials, &format!("{PACKAGE_1}{FINAL}"));
    match form.encoding {
        Encoding::Xml => text.into_bytes(),
        Encoding::Wbxml => form.encode(&Encoding::Xml.decode(text.as_bytes()).unwrap()),
    }
}

fn form(encoding: Encoding, public_id: Option<PublicId>) -> Form {
    Form { encoding, family: Family::Dm, public_id }
}

const BY_NAME: PublicId = PublicId::Text { name: Name::SyncMl1_2, ends: false };

both! {
    /// S-TR-01, S-TR-02: 200, the content type of the request, a length and no chunks; in WBXML, the head of the request.
    async fn a_message_is_answered_whole_and_in_its_own_form(database: Database) {
        let ground = Ground::on(&database).await;
        let numbered = PublicId::Number(0x1201);
        for (form, head) in [
            (form(Encoding::Xml, None), &b"<?xml version=\"1.0\""[..]),
            (form(Encoding::Wbxml, Some(numbered)), b"\x02\xA4\x01\x6A\x00\x6D\x6C"),
            (form(Encoding::Wbxml, Some(BY_NAME)), b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.2//EN\x6D\x6C"),
        ] {
            let mut talk = ground.talk(form.encoding).await;
            let body = first(&mut talk, form);
            assert!(body.starts_with(head), "{}", body.escape_ascii());
            let (status, kind, reply) = talk.post(Some(form.encoding.content_type()), body).await;
            assert_eq!((status, kind.as_str()), (200, form.encoding.content_type()));
            assert!(reply.starts_with(head), "{}", reply.escape_ascii());
            let reply = form.encoding.decode(&reply).unwrap();
            assert_eq!((reply.header.session.as_str(), reply.header.message, reply.last), ("1", 1, true));
        }
        ground.server.stop().await;
    }

    /// S-TR-03: the media types of data synchronisation, with parameters, in any case, wrong or missing: the bytes tell what they are.
    async fn a_body_is_known_by_its_bytes_whatever_its_content_type(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let (mut talk, ending) = (ground.talk(encoding).await, if encoding == Encoding::Xml { "xml" } else { "wbxml" });
            let (dm, sync) = (format!("application/vnd.syncml.dm+{ending}"), format!("application/vnd.syncml+{ending}"));
            for (told, answered) in [
                (Some(dm.clone()), &dm),
                (Some(format!("{dm}; charset=utf-8")), &dm),
                (Some(format!("{};Charset=\"UTF-8\"", dm.to_uppercase())), &dm),
                (Some(sync.clone()), &sync),
                (Some(format!("{sync};charset=UTF-8")), &sync),
                (Some("application/vnd.syncml.dm+xml".to_owned()), &dm),
                (Some("application/vnd.syncml.dm+wbxml".to_owned()), &dm),
                (Some("application/vnd.syncml+xml".to_owned()), &sync),
                (Some("application/vnd.syncml+wbxml".to_owned()), &sync),
                (Some("text/html".to_owned()), &dm),
                (None, &dm),
            ] {
                let body = first(&mut talk, form(encoding, None));
                let (status, kind, reply) = talk.post(told.as_deref(), body).await;
                assert_eq!((status, &kind), (200, answered), "{told:?}");
                assert!(encoding.decode(&reply).is_ok(), "{told:?}");
            }
        }
        ground.server.stop().await;
    }

    /// S-TR-04: what is malformed, nests without end, multiplies or is too large gets 400 or 413; the server goes on.
    async fn a_body_that_is_no_message_is_refused_and_does_no_harm(database: Database) {
        let ground = Ground::on(&database).await;
        let mut talk = ground.talk(Encoding::Xml).await;
        let bomb = "<?xml version=\"1.0\"?><!DOCTYPE SyncML [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">\
            <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">]><SyncML><SyncHdr><VerDTD>&d;</VerDTD></SyncHdr></SyncML>";
        let outside = "<?xml version=\"1.0\"?><!DOCTYPE SyncML [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><SyncML><SyncHdr><VerDTD>&a;</VerDTD></SyncHdr></SyncML>";
        let whole = String::from_utf8(first(&mut talk, form(Encoding::Xml, None))).unwrap();
        let tokens = first(&mut talk, form(Encoding::Wbxml, None));
        let within = |more: &str| whole.replace("<SyncBody>", &format!("<SyncBody>{more}"));
        let after = |head: &[u8], more: &[u8]| [head, more].concat();
        let deep = MAX_DEPTH + 1;
        for (what, body) in [
            ("entities that multiply", bomb.as_bytes().to_vec()),
            ("an entity of the machine", outside.as_bytes().to_vec()),
            ("depth", within(&format!("{}{}", "<A>".repeat(deep), "</A>".repeat(deep))).into_bytes()),
            ("depth without an end", "<A>".repeat(80_000).into_bytes()),
            ("too many elements", within(&"<A/>".repeat(MAX_ELEMENTS + 1)).into_bytes()),
            ("a wrong end", whole.replace("</SyncBody>", "</SyncHdr>").into_bytes()),
            ("no header", whole.replace("SyncHdr>", "Header>").into_bytes()),
            ("another root", whole.replace("SyncML>", "Html>").into_bytes()),
            ("an attribute without an end", whole.replace("<SyncBody>", "<SyncBody a=\"").into_bytes()),
            ("tokens that nest", after(b"\x02\xA4\x01\x6A\x00", &b"\x6D".repeat(80_000))),
            ("a string beyond the table", after(b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x83", b"\x40\x01")),
            ("octets beyond the end", after(b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\xC3", b"\x8F\xFF\xFF\xFF\x7F\x31")),
            ("a number without an end", after(b"\x02\xA4\x01\x6A", &b"\xFF".repeat(64))),
            ("a table beyond the end", after(b"\x02\xA4\x01\x6A", b"\x8F\xFF\xFF\x7F")),
            ("a string without an end", after(&tokens[..8], b"\x031.2")),
            ("another version of WBXML", after(b"\x07", &tokens[1..])),
        ] {
            for kind in ENCODINGS.map(Encoding::content_type) {
                let (status, _, said) = talk.post(Some(kind), body.clone()).await;
                assert_eq!(status, 400, "{what}: {}", said.escape_ascii());
                assert!(said.len() < 200, "{what}: {}", said.escape_ascii());
            }
        }
        assert_eq!(talk.post(Some("text/xml"), vec![b'<'; 300_000]).await.0, 413);
        assert_eq!(talk.opens("").await.verdict(), 212);
        ground.server.stop().await;
    }

    /// S-TR-05: the same bytes get the same bytes, with work and without, and nothing is done twice.
    async fn a_message_that_comes_twice_is_answered_alike_and_done_once(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A"]})).await;
            let asked = talk.opens("").await;
            assert_eq!(talk.repeat().await.body, asked.body);
            let answer = format!("{}{}{FINAL}", asked.answers(&[200]), results(9, 1, asked.commands()[0].1.parse().unwrap(), "./Vendor/A", "x"));
            let over = talk.say(&answer).await;
            assert_eq!(talk.repeat().await.body, over.body);
            assert_eq!((talk.ended(&job).await["state"].as_str(), talk.results(&job).await.len()), (Some("SUCCEEDED"), 1));
            let idle = talk.opens("").await;
            assert_eq!(talk.repeat().await.body, idle.body);
            assert!(!idle.asks());
        }
        ground.server.stop().await;
    }

    /// S-TR-06: each message in a connection of its own, to the address that the session has.
    async fn a_session_outlives_its_connections_at_its_own_address(database: Database) {
        let ground = Ground::on(&database).await;
        for encoding in ENCODINGS {
            let mut talk = ground.talk(encoding).await;
            let job = talk.job(&json!({"type": "NODES_GET", "nodes": ["./Vendor/A", "./Vendor/B"]})).await;
            let asked = talk.opens("").await;
            let address = asked.message.header.respond_to.clone().unwrap();
            assert!(address.starts_with(ground.server.url()) && address.contains("/dm?"), "{address}");
            let over = talk.say(&format!("{}{FINAL}", asked.answers(&[404, 404]))).await;
            assert_eq!((over.message.header.respond_to.as_ref(), over.asks()), (Some(&address), false));
            assert_eq!(talk.outcomes(&job).await, ["NOT_FOUND", "NOT_FOUND"]);
        }
        ground.server.stop().await;
    }
}
