//! Bodies in the forms in which clients in the field send them.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::{Element, Message};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::handset::{SCOPES, ended, job};
use crate::harness::phone::{Phone, WBXML, between, md5};
use crate::harness::server::{Portal, Server};
use crate::harness::talk::ENCODINGS;

async fn server(database: &Database) -> (Server, Portal) {
    let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| config.gateway.details_days = 0).await;
    let portal = server.portal("acme", SCOPES).await;
    (server, portal)
}

async fn device(portal: &Portal, identity: &str, auth: &str, name: &str, secret: &str) -> String {
    let client = json!({"auth": auth, "name": name, "secret": secret});
    let new = json!({"dmIdentity": identity, "account": {"serverId": "srv", "client": client}});
    portal.post("/v1/devices", &new).await.of(201)["deviceId"].as_str().unwrap().to_owned()
}

/// The first message of a client built on libdmclient: single quotes, interior nodes among the leaves, leaves in reverse.
fn lib_first(number: u32, kind: &str, cred: &str, before: &str, at: u32) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
        <SessionID>1</SessionID><MsgID>{number}</MsgID><Target><LocURI>http://127.0.0.1:8080/funambol/dm</LocURI></Target><Source>\
        <LocURI>Lab-Client</LocURI></Source><Cred><Meta><Format xmlns='syncml:metinf'>b64</Format><Type xmlns='syncml:metinf'>syncml:auth-{kind}</Type>\
        </Meta><Data>{cred}</Data></Cred><Meta><MaxMsgSize xmlns='syncml:metinf'>16384</MaxMsgSize></Meta></SyncHdr><SyncBody>{before}\
        <Alert><CmdID>{at}</CmdID><Data>1201</Data></Alert><Replace><CmdID>{}</CmdID><Item><Source><LocURI>./DevInfo/Ext/other/test3</LocURI></Source>\
        <Meta><Format xmlns='syncml:metinf'>chr</Format><Type xmlns='syncml:metinf'>text/plain</Type></Meta><Data>of test3</Data></Item><Item><Source>\
        <LocURI>./DevInfo/Ext/other</LocURI></Source><Meta><Format xmlns='syncml:metinf'>node</Format></Meta><Data>test3</Data></Item><Item><Source>\
        <LocURI>./DevInfo/Ext</LocURI></Source><Meta><Format xmlns='syncml:metinf'>node</Format></Meta><Data>other</Data></Item><Item><Source>\
        <LocURI>./DevInfo/Lang</LocURI></Source><Meta><Format xmlns='syncml:metinf'>chr</Format><Type xmlns='syncml:metinf'>text/plain</Type></Meta>\
        <Data>test language</Data></Item><Item><Source><LocURI>./DevInfo/Man</LocURI></Source><Meta><Format xmlns='syncml:metinf'>chr</Format>\
        <Type xmlns='syncml:metinf'>text/plain</Type></Meta><Data>test manufacturer</Data></Item></Replace><Final/></SyncBody></SyncML>",
        at + 1
    )
}

/// Its answers: a challenge to the server that nobody asked for, Results between the Statuses, and the NUL of a C string within Data.
const LIB_ANSWERS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD>\
    <VerProto>DM/1.2</VerProto><SessionID>1</SessionID><MsgID>2</MsgID><Target><LocURI>http://127.0.0.1:8080/funambol/dm</LocURI></Target><Source>\
    <LocURI>Lab-Client</LocURI></Source><Meta><MaxMsgSize xmlns='syncml:metinf'>16384</MaxMsgSize></Meta></SyncHdr><SyncBody><Status><CmdID>1</CmdID>\
    <MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><TargetRef>Lab-Client</TargetRef><SourceRef>http://127.0.0.1:8080/funambol/dm</SourceRef>\
    <Chal><Meta><Format xmlns='syncml:metinf'>b64</Format><Type xmlns='syncml:metinf'>syncml:auth-md5</Type>\
    <NextNonce xmlns='syncml:metinf'>bmxkY2R6Q01kNVU9</NextNonce></Meta></Chal><Data>212</Data></Status><Status><CmdID>2</CmdID><MsgRef>1</MsgRef>\
    <CmdRef>4</CmdRef><Cmd>Get</Cmd><TargetRef>./DevDetail</TargetRef><Data>200</Data></Status><Results><CmdID>3</CmdID><MsgRef>1</MsgRef>\
    <CmdRef>4</CmdRef><Item><Source><LocURI>./DevDetail</LocURI></Source><Meta><Format xmlns='syncml:metinf'>node</Format></Meta>\
    <Data>URI/DevTyp/OEM</Data></Item></Results><Status><CmdID>4</CmdID><MsgRef>1</MsgRef><CmdRef>5</CmdRef><Cmd>Get</Cmd>\
    <TargetRef>./DevDetail/FwV</TargetRef><Data>200</Data></Status><Results><CmdID>5</CmdID><MsgRef>1</MsgRef><CmdRef>5</CmdRef><Item><Source>\
    <LocURI>./DevDetail/FwV</LocURI></Source><Meta><Format xmlns='syncml:metinf'>chr</Format><Type xmlns='syncml:metinf'>text/plain</Type></Meta>\
    <Data>TODO\0</Data></Item></Results><Status><CmdID>6</CmdID><MsgRef>1</MsgRef><CmdRef>6</CmdRef><Cmd>Get</Cmd><TargetRef>./nothere</TargetRef>\
    <Data>404</Data></Status><Final/></SyncBody></SyncML>";

/// What such a client answers to message `number - 1` of the server, in which there was one Get as command `get`: a code for the header with a nonce for the
/// server, a code for the Get, and what it read where it did.
struct LibAnswer<'a> {
    session: u32,
    number: u32,
    header: u16,
    nonce: &'a str,
    get: &'a str,
    code: u16,
}

impl LibAnswer<'_> {
    fn xml(&self) -> String {
        let Self { session, number, header, nonce, get, code } = self;
        let about = number - 1;
        let read = format!(
            "<Results><CmdID>3</CmdID><MsgRef>{about}</MsgRef><CmdRef>{get}</CmdRef><Item><Source><LocURI>./DevDetail/FwV</LocURI></Source><Meta>\
            <Format xmlns='syncml:metinf'>chr</Format><Type xmlns='syncml:metinf'>text/plain</Type></Meta><Data>TODO</Data></Item></Results>"
        );
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
            <SessionID>{session}</SessionID><MsgID>{number}</MsgID><Target><LocURI>http://127.0.0.1:8080/funambol/dm</LocURI></Target><Source>\
            <LocURI>Lab-Client</LocURI></Source><Meta><MaxMsgSize xmlns='syncml:metinf'>16384</MaxMsgSize></Meta></SyncHdr><SyncBody><Status><CmdID>1</CmdID>\
            <MsgRef>{about}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><TargetRef>Lab-Client</TargetRef><SourceRef>http://127.0.0.1:8080/funambol/dm\
            </SourceRef><Chal><Meta><Format xmlns='syncml:metinf'>b64</Format><Type xmlns='syncml:metinf'>syncml:auth-md5</Type>\
            <NextNonce xmlns='syncml:metinf'>{nonce}</NextNonce></Meta></Chal><Data>{header}</Data></Status><Status><CmdID>2</CmdID><MsgRef>{about}</MsgRef>\
            <CmdRef>{get}</CmdRef><Cmd>Get</Cmd><TargetRef>./DevDetail/FwV</TargetRef><Data>{code}</Data></Status>{}<Final/></SyncBody></SyncML>",
            if *code == 200 { read } else { String::new() }
        )
    }

    /// The same in its tokens: codes and values are opaque, and a Meta ends before its code page does.
    fn tokens(&self) -> Vec<u8> {
        let about = (self.number - 1).to_string();
        let text = |tag: u8, text: &str| [&[tag, 3], text.as_bytes(), &[0, 1]].concat();
        let opaque = |text: &str| [&[0x4F, 0xC3, u8::try_from(text.len()).unwrap()], text.as_bytes(), &[1]].concat();
        let metinf =
            [&[0x5A, 0, 1][..], &text(0x47, "b64"), &text(0x53, "syncml:auth-md5"), &text(0x50, self.nonce), &[1, 1, 0, 0]]
                .concat();
        let header = [
            text(0x4B, "1"),
            text(0x5C, &about),
            text(0x4C, "0"),
            text(0x4A, "SyncHdr"),
            text(0x6F, "Lab-Client"),
            vec![0x49],
            metinf,
        ];
        let get = [text(0x4B, "2"), text(0x5C, &about), text(0x4C, self.get), text(0x4A, "Get"), text(0x6F, "./DevDetail/FwV")];
        let results = [
            &[0x62][..],
            &text(0x4B, "3"),
            &text(0x5C, &about),
            &text(0x4C, self.get),
            b"\x54\x67",
            &text(0x57, "./DevDetail/FwV"),
            b"\x01\x5A\x00\x01\x47\x03chr\0\x01\x53\x03text/plain\0\x01\x01\x00\x00",
            &opaque("TODO"),
            &[1, 1],
        ];
        [
            lib_head(self.session, self.number).as_slice(),
            LIB_LIMIT,
            &[0x69],
            &header.concat(),
            &opaque(&self.header.to_string()),
            &[1],
            &[0x69],
            &get.concat(),
            &opaque(&self.code.to_string()),
            &[1],
            &if self.code == 200 { results.concat() } else { Vec::new() },
            b"\x12\x01\x01",
        ]
        .concat()
    }
}

/// The header of its messages in tokens, up to its credentials.
fn lib_head(session: u32, number: u32) -> Vec<u8> {
    let head = b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x031.2\0\x01\x72\x03DM/1.2\0\x01\x65\x03";
    let sender = b"\0\x01\x6E\x57\x03http://127.0.0.1:8080/funambol/dm\0\x01\x01\x67\x57\x03Lab-Client\0\x01\x01";
    [&head[..], session.to_string().as_bytes(), b"\0\x01\x5B\x03", number.to_string().as_bytes(), sender].concat()
}

/// The rest of it, after them, and the beginning of the body.
const LIB_LIMIT: &[u8] = b"\x5A\x00\x01\x4C\x0316384\0\x01\x01\x01\x00\x00\x6B";

const LIB_CRED: &[u8] =
    b"\x4E\x5A\x00\x01\x47\x03b64\0\x01\x53\x03syncml:auth-basic\0\x01\x01\x00\x00\x4F\x03ZnVuYW1ib2w6ZnVuYW1ib2w=\0\x01\x01";

/// Its alert and its DevInfo.
const LIB_PACKAGE_1: &[u8] = b"\x46\x4B\x031\0\x01\x4F\x031201\0\x01\x01\x60\x4B\x032\0\x01\
    \x54\x67\x57\x03./DevInfo/Ext/other\0\x01\x01\x5A\x00\x01\x47\x03node\0\x01\x01\x00\x00\x4F\xC3\x05test3\x01\x01\
    \x54\x67\x57\x03./DevInfo/Man\0\x01\x01\x5A\x00\x01\x47\x03chr\0\x01\x53\x03text/plain\0\x01\x01\x00\x00\
    \x4F\xC3\x11test manufacturer\x01\x01\x01\x12\x01\x01";

/// The CmdID of the one Get of a message, if there is one.
fn one_get(message: &Message) -> Option<String> {
    let mut gets = message.body.iter().filter_map(|element| match element {
        Element::Command(command) => Some(command.id.clone()),
        _ => None,
    });
    gets.next().filter(|_| gets.next().is_none())
}

/// The first message of the engine that phones of Motorola's carry: a public identifier in the string table, texts inline, page switches.
fn engine_first(session: &str, alert: &[u8]) -> Vec<u8> {
    let mut body =
        b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.2//EN\x6D\x6C\x71\x031.2\0\x01\x72\x03DM/1.2\0\x01\x65\x03".to_vec();
    body.extend(session.as_bytes());
    body.extend(b"\0\x01\x5B\x031\0\x01\x6E\x57\x03http://127.0.0.1:8080/dm\0\x01\x56\x03srv1\0\x01\x01\x67\x57\x03IMEI:490154203237526\0\x01\
        \x56\x03client\0\x01\x01\x4E\x5A\x00\x01\x47\x03b64\0\x01\x53\x03syncml:auth-basic\0\x01\x01\x00\x00\x4F\x03Y2xpZW50OmNsaWVudHB3\0\x01\x01\
        \x5A\x00\x01\x4C\x03122880\0\x01\x01\x01\x00\x00\x6B\x46\x4B\x031\0\x01\x4F\x031201\0\x01\x01\
        \x60\x4B\x032\0\x01\x54\x67\x57\x03./DevInfo/DevId\0\x01\x01\x4F\x03IMEI:490154203237526\0\x01\x01\
        \x54\x67\x57\x03./DevInfo/Man\0\x01\x01\x4F\x03AOSP\0\x01\x01\x54\x67\x57\x03./DevInfo/Mod\0\x01\x01\x4F\x03engine\0\x01\x01\
        \x54\x67\x57\x03./DevInfo/Bearer/GSM\0\x01\x01\x4F\x03\0\x01\x01\x01");
    body.extend(alert);
    body.extend(b"\x12\x01\x01");
    body
}

/// The alert that ends an update, which this server never asked for.
const ENGINE_ALERT: &[u8] = b"\x46\x4B\x033\0\x01\x4F\x031226\0\x01\x7C\x03corr-77\0\x01\x54\x67\x57\x03./FUMO/DownloadAndUpdate\0\x01\x01\
    \x5A\x00\x01\x47\x03chr\0\x01\x53\x03org.openmobilealliance.dm.firmwareupdate.downloadandupdate\0\x01\x4B\x03informational\0\x01\x01\x00\x00\
    \x4F\x03200\0\x01\x01\x01";

both! {
    /// AD-12, UC-3, X-01: XML of libdmclient under its own content type, with basic credentials.
    async fn a_client_on_libdmclient_is_understood_in_xml(database: Database) {
        let (server, portal) = server(&database).await;
        let id = device(&portal, "Lab-Client", "BASIC", "funambol", "funambol").await;
        let job = job(&portal, &id, &json!({"type": "NODES_GET", "nodes": ["./DevDetail", "./DevDetail/FwV", "./nothere"]})).await;
        let phone = Phone::of(server.url());
        let first = lib_first(1, "basic", "ZnVuYW1ib2w6ZnVuYW1ib2w=", "", 1).replace("test manufacturer", "Some Maker");
        let heard = phone.post("application/vnd.syncml+xml", first).await;
        assert_eq!((heard.status, heard.content_type.as_str()), (200, "application/vnd.syncml+xml"));
        let text = String::from_utf8(heard.body.to_vec()).unwrap();
        assert!(text.contains("<Get><CmdID>4</CmdID><Item><Target><LocURI>./DevDetail</LocURI>"), "{text}");
        assert_eq!(phone.post("application/vnd.syncml+xml", LIB_ANSWERS).await.status, 200);
        assert_eq!(ended(&portal, &job).await["state"], "COMPLETED");
        let results = portal.get(&format!("{job}/executions/{id}/results")).await.of(200);
        let found: Vec<_> = results["results"].as_array().unwrap().iter().map(|one| (one["status"].as_u64(), one["value"]["data"].as_str())).collect();
        assert_eq!(found, [(Some(200), Some("URI/DevTyp/OEM")), (Some(200), Some("TODO")), (Some(404), None)]);
        let facts = portal.get(&format!("/v1/devices/{id}")).await.of(200)["facts"].clone();
        assert_eq!((facts["manufacturer"].as_str(), facts["language"].as_str()), (Some("Some Maker"), Some("test language")));
        let profile = portal.get(&format!("/v1/devices/{id}/profile")).await.of(200);
        assert_eq!(profile["entries"], json!(["libdmclient"]), "whoever made it: {profile}");
        assert_eq!(profile["traits"]["sequence"], json!({"value": false, "origin": "FILE"}));
        server.stop().await;
    }

    /// AD-12, S-TR-02, X-01: its WBXML, with every Data as opaque octets, under its own content type.
    async fn a_client_on_libdmclient_is_understood_in_wbxml(database: Database) {
        let (server, portal) = server(&database).await;
        let id = device(&portal, "Lab-Client", "BASIC", "funambol", "funambol").await;
        let job = job(&portal, &id, &json!({"type": "NODES_GET", "nodes": ["./DevDetail/FwV"]})).await;
        let told = b"\x69\x4B\x031\0\x01\x5C\x031\0\x01\x4C\x030\0\x01\x4A\x03SyncHdr\0\x01\x4F\x03200\0\x01\x01\
            \x69\x4B\x032\0\x01\x5C\x031\0\x01\x4C\x034\0\x01\x4A\x03Get\0\x01\x6F\x03./DevDetail/FwV\0\x01\x4F\x03200\0\x01\x01\
            \x62\x4B\x033\0\x01\x5C\x031\0\x01\x4C\x034\0\x01\x54\x67\x57\x03./DevDetail/FwV\0\x01\x01\
            \x5A\x00\x01\x47\x03chr\0\x01\x53\x03text/plain\0\x01\x01\x00\x00\x4F\xC3\x04TODO\x01\x01\x01\x12\x01\x01";
        let phone = Phone::of(server.url());
        let first = [&lib_head(1, 1), LIB_CRED, LIB_LIMIT, LIB_PACKAGE_1].concat();
        for body in [first, [&lib_head(1, 2), LIB_LIMIT, told].concat()] {
            let heard = phone.post("application/vnd.syncml+wbxml", body).await;
            assert_eq!((heard.status, heard.content_type.as_str()), (200, "application/vnd.syncml+wbxml"));
            assert!(heard.body.starts_with(b"\x02\xA4\x01\x6A\x00\x6D"), "{}", heard.body.escape_ascii());
        }
        ended(&portal, &job).await;
        let results = portal.get(&format!("{job}/executions/{id}/results")).await.of(200);
        assert_eq!(results["results"][0]["value"]["data"], "TODO");
        assert_eq!(portal.get(&format!("/v1/devices/{id}/profile")).await.of(200)["entries"], json!(["libdmclient"]));
        assert_eq!(portal.get(&format!("/v1/devices/{id}")).await.of(200)["facts"]["manufacturer"], "test manufacturer");
        server.stop().await;
    }

    /// AD-12, AD-6, S-AU-03, X-01: it shows basic credentials first, is challenged to md5, and comes again with a Status before its alert.
    async fn a_client_on_libdmclient_follows_a_challenge_to_md5(database: Database) {
        let (server, portal) = server(&database).await;
        let id = device(&portal, "Lab-Client", "DIGEST", "funambol", "funambol").await;
        let phone = Phone::of(server.url());
        let heard = phone.post("application/vnd.syncml+xml", lib_first(1, "basic", "ZnVuYW1ib2w6ZnVuYW1ib2w=", "", 1)).await;
        let text = String::from_utf8(heard.body.to_vec()).unwrap();
        assert!(text.contains("syncml:auth-md5") && text.contains("<Data>401</Data>"), "{text}");
        let nonce = between(&text, "<NextNonce xmlns=\"syncml:metinf\">", "</NextNonce>");
        let given = "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><TargetRef>Lab-Client</TargetRef>\
            <SourceRef>http://127.0.0.1:8080/funambol/dm</SourceRef><Chal><Meta><Format xmlns='syncml:metinf'>b64</Format>\
            <Type xmlns='syncml:metinf'>syncml:auth-md5</Type><NextNonce xmlns='syncml:metinf'>SkNCakpUQk0vNDg9</NextNonce></Meta></Chal>\
            <Data>212</Data></Status>";
        let heard = phone.post("application/vnd.syncml+xml", lib_first(2, "md5", &md5("funambol", "funambol", nonce), given, 2)).await;
        let text = String::from_utf8(heard.body.to_vec()).unwrap();
        assert!(text.contains("<Data>212</Data>") && !text.contains("<Data>401</Data>"), "{text}");
        assert_eq!(portal.get(&format!("/v1/devices/{id}")).await.of(200)["facts"]["manufacturer"], "test manufacturer");
        server.stop().await;
    }

    /// AD-6, AD-12, S-AU-05, X-01: it has another nonce for the server than the server has, and refuses header and Get by 401; shown the digest over the nonce that
    /// it gave with that, it says 212 and answers, and in its next session believes the server at once.
    async fn a_client_on_libdmclient_refuses_the_server_and_then_believes_it(database: Database) {
        let (server, portal) = server(&database).await;
        let id = device(&portal, "Lab-Client", "BASIC", "funambol", "funambol").await;
        let merge = [("content-type", "application/merge-patch+json"), ("if-match", "*")];
        let theirs = json!({"account": {"server": {"auth": "DIGEST", "name": "funambol", "secret": "srvpwd"}}});
        portal.call(Method::PATCH, &format!("/v1/devices/{id}"), &merge, Some(&theirs)).await.of(200);
        let (phone, mut kept) = (Phone::of(server.url()), String::new());
        for (encoding, session) in ENCODINGS.into_iter().zip([1, 3]) {
            let kind = if encoding == Encoding::Xml { "application/vnd.syncml+xml" } else { "application/vnd.syncml+wbxml" };
            let say = async |body: Vec<u8>| {
                let heard = phone.post(kind, body).await;
                assert_eq!((heard.status, heard.content_type.as_str()), (200, kind));
                encoding.decode(&heard.body).unwrap()
            };
            let first = |session: u32| match encoding {
                Encoding::Xml => {
                    lib_first(1, "basic", "ZnVuYW1ib2w6ZnVuYW1ib2w=", "", 1).replace("<SessionID>1<", &format!("<SessionID>{session}<")).into_bytes()
                }
                Encoding::Wbxml => [&lib_head(session, 1), LIB_CRED, LIB_LIMIT, LIB_PACKAGE_1].concat(),
            };
            let answer = |answer: LibAnswer<'_>| if encoding == Encoding::Xml { answer.xml().into_bytes() } else { answer.tokens() };
            let shown = |heard: &Message| heard.header.credentials.clone().map(|credentials| credentials.data);
            let over = |nonce: &str| Some(md5("funambol", "srvpwd", nonce));
            let read = json!({"type": "NODES_GET", "nodes": ["./DevDetail/FwV"]});

            let job_1 = job(&portal, &id, &read).await;
            let heard = say(first(session)).await;
            assert_eq!(shown(&heard), over(&kept));
            let (given, next) = ("bmxkY2R6Q01kNVU9", format!("SkNCakpUQk0vNDg{session}"));
            let get = one_get(&heard).unwrap();
            let heard = say(answer(LibAnswer { session, number: 2, header: 401, nonce: given, get: &get, code: 401 })).await;
            assert_eq!(shown(&heard), over(given));
            let get = one_get(&heard).expect("what was refused is asked again");
            let heard = say(answer(LibAnswer { session, number: 3, header: 212, nonce: &next, get: &get, code: 200 })).await;
            assert_eq!((shown(&heard), one_get(&heard), heard.last), (None, None, true));
            assert_eq!(ended(&portal, &job_1).await["outcome"], "SUCCEEDED");

            let job_2 = job(&portal, &id, &read).await;
            let heard = say(first(session + 1)).await;
            assert_eq!(shown(&heard), over(&next), "over the nonce that came with 212");
            let get = one_get(&heard).unwrap();
            kept = format!("bm9uY2Utb25lLTE{session}");
            say(answer(LibAnswer { session: session + 1, number: 2, header: 212, nonce: &kept, get: &get, code: 200 })).await;
            for job in [job_1, job_2] {
                ended(&portal, &job).await;
                let results = portal.get(&format!("{job}/executions/{id}/results")).await.of(200);
                assert_eq!(results["results"][0]["value"]["data"], "TODO");
            }
        }
        server.stop().await;
    }

    /// AD-12, S-TR-02: the Motorola engine's WBXML, an empty Data, and an alert about an update that nobody here asked for.
    async fn the_motorola_engine_is_understood_in_wbxml(database: Database) {
        let (server, portal) = server(&database).await;
        let id = device(&portal, "IMEI:490154203237526", "BASIC", "client", "clientpw").await;
        let phone = Phone::of(server.url());
        let heard = phone.post(WBXML, engine_first("DE6", b"")).await;
        assert_eq!((heard.status, heard.content_type.as_str()), (200, WBXML));
        assert!(heard.body.starts_with(b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.2//EN\x6D"), "{}", heard.body.escape_ascii());
        assert!(heard.body.windows(3).any(|three| three == b"212"), "{}", heard.body.escape_ascii());
        let facts = portal.get(&format!("/v1/devices/{id}")).await.of(200)["facts"].clone();
        assert_eq!((facts["manufacturer"].as_str(), facts["model"].as_str()), (Some("AOSP"), Some("engine")));
        let heard = phone.post(WBXML, engine_first("57F3", ENGINE_ALERT)).await;
        assert_eq!(heard.status, 200);
        let told = database.lines("SELECT data AS line FROM events WHERE type = 'dmwsi.v1.device-alert'");
        let told: Value = serde_json::from_str(&told[0]).unwrap();
        assert!(told.to_string().contains("corr-77") && told.to_string().contains("firmwareupdate.downloadandupdate"), "{told}");
        server.stop().await;
    }

    /// AD-12, S-TR-01: whatever HTTP a client speaks, the answer has a length, and the whole of it comes.
    async fn http_1_0_odd_header_names_and_an_absolute_address_are_answered_with_a_length(database: Database) {
        let (server, portal) = server(&database).await;
        device(&portal, "Lab-Client", "BASIC", "funambol", "funambol").await;
        let address = server.url().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        let body = lib_first(1, "basic", "ZnVuYW1ib2w6ZnVuYW1ib2w=", "", 1);
        for (line, more) in [
            ("POST /dm HTTP/1.0".to_owned(), ""),
            ("POST /dm?mode=Maintenance HTTP/1.1".to_owned(), "Expect: 100-continue\r\n"),
            (format!("POST http://{address}/dm HTTP/1.1"), "accept-ENCODING: identity\r\nUser-Agent: SyncML_DM Client\r\n"),
        ] {
            let head = format!(
                "{line}\r\nhOsT: {address}\r\nCONTENT-type: Application/vnd.SyncML+XML; charset=\"utf-8\"\r\ncOntent-LENGTH: {}\r\n\
                Connection: Close\r\n{more}\r\n",
                body.len()
            );
            let request = [head.as_bytes(), body.as_bytes()].concat();
            let to = address.clone();
            let heard = tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(to).unwrap();
                stream.write_all(&request).unwrap();
                let mut heard = String::new();
                stream.read_to_string(&mut heard).unwrap();
                heard.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").map(str::to_owned).unwrap_or(heard)
            });
            let heard = heard.await.unwrap();
            let (head, reply) = heard.split_once("\r\n\r\n").unwrap();
            let head = head.to_ascii_lowercase();
            assert!(head.starts_with("http/1.") && head.contains(" 200 "), "{line}: {heard}");
            assert!(heard.contains(&format!("\r\nContent-Length: {}\r\n", reply.len())), "{line}: {heard}");
            assert!(head.contains("content-type: application/vnd.syncml+xml") && !head.contains("transfer-encoding"), "{line}: {heard}");
            assert!(reply.contains("<Cmd>SyncHdr</Cmd>") && reply.ends_with("</SyncML>"), "{line}: {heard}");
        }
        server.stop().await;
    }
}
