//! Bodies in the forms in which clients in the field send them.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use serde_json::{Value, json};

use crate::harness::Database;
use crate::harness::handset::{SCOPES, ended, job};
use crate::harness::phone::{Phone, WBXML, between, md5};
use crate::harness::server::{Portal, Server};

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
        let head = b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x031.2\0\x01\x72\x03DM/1.2\0\x01\x65\x031\0\x01\x5B\x03";
        let sender = b"\0\x01\x6E\x57\x03http://127.0.0.1:8080/funambol/dm\0\x01\x01\x67\x57\x03Lab-Client\0\x01\x01";
        let limit = b"\x5A\x00\x01\x4C\x0316384\0\x01\x01\x01\x00\x00\x6B";
        let cred = b"\x4E\x5A\x00\x01\x47\x03b64\0\x01\x53\x03syncml:auth-basic\0\x01\x01\x00\x00\x4F\x03ZnVuYW1ib2w6ZnVuYW1ib2w=\0\x01\x01";
        let first = b"\x46\x4B\x031\0\x01\x4F\x031201\0\x01\x01\x60\x4B\x032\0\x01\
            \x54\x67\x57\x03./DevInfo/Ext/other\0\x01\x01\x5A\x00\x01\x47\x03node\0\x01\x01\x00\x00\x4F\xC3\x05test3\x01\x01\
            \x54\x67\x57\x03./DevInfo/Man\0\x01\x01\x5A\x00\x01\x47\x03chr\0\x01\x53\x03text/plain\0\x01\x01\x00\x00\
            \x4F\xC3\x11test manufacturer\x01\x01\x01\x12\x01\x01";
        let told = b"\x69\x4B\x031\0\x01\x5C\x031\0\x01\x4C\x030\0\x01\x4A\x03SyncHdr\0\x01\x4F\x03200\0\x01\x01\
            \x69\x4B\x032\0\x01\x5C\x031\0\x01\x4C\x034\0\x01\x4A\x03Get\0\x01\x6F\x03./DevDetail/FwV\0\x01\x4F\x03200\0\x01\x01\
            \x62\x4B\x033\0\x01\x5C\x031\0\x01\x4C\x034\0\x01\x54\x67\x57\x03./DevDetail/FwV\0\x01\x01\
            \x5A\x00\x01\x47\x03chr\0\x01\x53\x03text/plain\0\x01\x01\x00\x00\x4F\xC3\x04TODO\x01\x01\x01\x12\x01\x01";
        let phone = Phone::of(server.url());
        for body in [[&head[..], b"1", sender, cred, limit, first].concat(), [&head[..], b"2", sender, limit, told].concat()] {
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
            assert!(head.contains(&format!("content-length: {}", reply.len())), "{line}: {heard}");
            assert!(head.contains("content-type: application/vnd.syncml+xml") && !head.contains("transfer-encoding"), "{line}: {heard}");
            assert!(reply.contains("<Cmd>SyncHdr</Cmd>") && reply.ends_with("</SyncML>"), "{line}: {heard}");
        }
        server.stop().await;
    }
}
