//! An update through a client written by hand: bodies as text, replies compared byte by byte, no codec of ours.
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use serde_json::json;

use crate::harness::handset::{SCOPES, ended, execution, job};
use crate::harness::phone::{FINAL, PACKAGE_1, Phone, basic_cred, md5_cred, message, next_nonce, results, status, without_pass};
use crate::harness::server::Server;
use crate::harness::{Database, phone};

const IMEI: &str = "IMEI:490154203237518";

/// A reply of the server, as it must stand on the wire.
fn reply(base: &str, session: &str, number: u32, cred: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
        <SessionID>{session}</SessionID><MsgID>{number}</MsgID><Target><LocURI>IMEI:490154203237518</LocURI></Target>\
        <Source><LocURI>http://dm.example/dm</LocURI><LocName>dm.example.com</LocName></Source><RespURI>{base}/dm</RespURI>{cred}\
        <Meta><MaxMsgSize xmlns=\"syncml:metinf\">262144</MaxMsgSize><MaxObjSize xmlns=\"syncml:metinf\">1048576</MaxObjSize></Meta></SyncHdr>\
        <SyncBody>{body}<Final/></SyncBody></SyncML>"
    )
}

/// The Status of the header of a message.
fn header(message: u32, challenge: &str, code: u32) -> String {
    format!(
        "<Status><CmdID>1</CmdID><MsgRef>{message}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><TargetRef>http://dm.example/dm</TargetRef>\
        <SourceRef>IMEI:490154203237518</SourceRef>{challenge}<Data>{code}</Data></Status>"
    )
}

fn challenge(nonce: &str) -> String {
    format!(
        "<Chal><Meta><Format xmlns=\"syncml:metinf\">b64</Format><Type xmlns=\"syncml:metinf\">syncml:auth-md5</Type>\
        <NextNonce xmlns=\"syncml:metinf\">{nonce}</NextNonce></Meta></Chal>"
    )
}

fn get(id: u32, node: &str) -> String {
    format!("<Get><CmdID>{id}</CmdID><Item><Target><LocURI>{node}</LocURI></Target></Item></Get>")
}

fn replace(id: u32, node: &str, data: &str) -> String {
    format!(
        "<Replace><CmdID>{id}</CmdID><Item><Target><LocURI>{node}</LocURI></Target><Meta><Format xmlns=\"syncml:metinf\">chr</Format>\
        </Meta><Data>{data}</Data></Item></Replace>"
    )
}

/// The whole story, with a device that in the end says it has this version. Where it is disturbed, a stranger who sees all numbers but not the
/// address speaks after each of its messages: to go on with the session, to end it, to begin it anew, and with a guess.
async fn update(database: &Database, version_after: &str, disturbed: bool) -> serde_json::Value {
    let server = Server::with(database, Keys::mint().unwrap(), Clock::System, |config| config.gateway.details_days = 0).await;
    let portal = server.portal("acme", SCOPES).await;
    let base = server.url();
    let device = json!({"dmIdentity": IMEI, "account": {
        "serverId": "dm.example.com",
        "client": {"auth": "DIGEST", "name": "device-1", "secret": "correct horse"},
        "server": {"auth": "DIGEST", "name": "dm.example.com", "secret": "battery staple"},
    }});
    let device = portal.post("/v1/devices", &device).await.of(201)["deviceId"].as_str().unwrap().to_owned();
    let operation = json!({
        "type": "FIRMWARE_UPDATE", "packageUrl": "https://d.example/p?a=1&b=2", "packageName": "X1", "packageVersion": "2.0",
        "expectedFirmwareVersion": "2.0",
    });
    let job = job(&portal, &device, &operation).await;
    let correlator = format!("{}.0.1.1", job.strip_prefix("/v1/jobs/job_").unwrap());
    let (phone, stranger) = (Phone::of(base), Phone::deaf_to_resp_uri(base));
    let abort = format!("<Alert><CmdID>1</CmdID><Data>1223</Data></Alert>{FINAL}");
    let disturb = async |session: &str, number: u32| {
        let guess = md5_cred("device-1", "guessed", "bm9uY2U=");
        for body in [format!("{}{FINAL}", status(1, number, 0, "SyncHdr", 200)), abort.clone(), format!("{PACKAGE_1}{FINAL}")] {
            for (cred, code) in [("", 407), (guess.as_str(), 401)] {
                let heard = stranger.say(message(IMEI, session, number + 1, cred, &body)).await;
                assert!(heard.contains(&format!("<Data>{code}</Data>")) && !heard.contains("<Get>"), "{heard}");
            }
        }
    };
    let say = async |session: &'static str, number, cred: &str, body: String| {
        let heard = without_pass(&phone.say(message(IMEI, session, number, cred, &body)).await);
        // Before it has proven itself there is nothing to take over.
        if disturbed && (session, number) != ("1", 1) {
            disturb(session, number).await;
        }
        heard
    };
    let own = |nonce: &str| md5_cred("dm.example.com", "battery staple", nonce);
    let theirs = |nonce: &str| md5_cred("device-1", "correct horse", nonce);

    // No credentials: a challenge, every command refused by it; the server shows its own at once, over an empty nonce.
    let heard = say("1", 1, "", format!("{PACKAGE_1}{FINAL}")).await;
    let nonce = next_nonce(&heard).to_owned();
    let refused =
        format!("{}{}{}", header(1, &challenge(&nonce), 407), status(2, 1, 1, "Alert", 407), status(3, 1, 2, "Replace", 407));
    assert_eq!(heard, reply(base, "1", 1, &own(""), &refused));

    // The md5 of that nonce, and a nonce for the server: where is the object?
    let given = "<Status><CmdID>3</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Chal><Meta>\
        <Format xmlns=\"syncml:metinf\">b64</Format><Type xmlns=\"syncml:metinf\">syncml:auth-md5</Type>\
        <NextNonce xmlns=\"syncml:metinf\">YS1ub25jZQ==</NextNonce></Meta></Chal><Data>212</Data></Status>";
    let heard = say("1", 2, &theirs(&nonce), format!("{PACKAGE_1}{given}{FINAL}")).await;
    let nonce = next_nonce(&heard).to_owned();
    let located = [
        header(2, &challenge(&nonce), 212),
        status(2, 2, 1, "Alert", 200),
        status(3, 2, 2, "Replace", 200),
        get(4, "./DevDetail/FwV"),
        get(5, "./FUMO/State"),
        get(6, "./FUMO"),
        get(7, "./FwUpdate"),
    ];
    assert_eq!(heard, reply(base, "1", 2, "", &located.concat()));

    // It is at its usual place: the package is named.
    let told = [
        status(1, 2, 0, "SyncHdr", 200),
        status(2, 2, 4, "Get", 200),
        results(3, 2, 4, "./DevDetail/FwV", "1.0"),
        status(4, 2, 5, "Get", 200),
        results(5, 2, 5, "./FUMO/State", "10"),
        status(6, 2, 6, "Get", 200),
        results(7, 2, 6, "./FUMO", "State/DownloadAndUpdate"),
        status(8, 2, 7, "Get", 404),
        FINAL.to_owned(),
    ];
    let heard = say("1", 3, "", told.concat()).await;
    let named = [
        header(3, "", 212),
        replace(2, "./FUMO/PkgName", "X1"),
        replace(3, "./FUMO/PkgVersion", "2.0"),
        replace(4, "./FUMO/DownloadAndUpdate/PkgURL", "https://d.example/p?a=1&amp;b=2"),
    ];
    assert_eq!(heard, reply(base, "1", 3, "", &named.concat()));

    // The name is read-only, which does no harm; the Exec carries the correlator.
    let told = [
        status(1, 3, 0, "SyncHdr", 200),
        status(2, 3, 2, "Replace", 405),
        status(3, 3, 3, "Replace", 200),
        status(4, 3, 4, "Replace", 200),
        FINAL.to_owned(),
    ];
    let heard = say("1", 4, "", told.concat()).await;
    let exec = format!(
        "<Exec><CmdID>2</CmdID><Correlator>{correlator}</Correlator><Item><Target><LocURI>./FUMO/DownloadAndUpdate</LocURI></Target></Item></Exec>"
    );
    assert_eq!(heard, reply(base, "1", 4, "", &(header(4, "", 212) + &exec)));

    // Its 202 is lost. In a new session the server asks for the state and does not start it once more.
    let heard = say("2", 1, &theirs(&nonce), format!("{PACKAGE_1}{FINAL}")).await;
    let nonce = next_nonce(&heard).to_owned();
    let asked = [
        header(1, &challenge(&nonce), 212),
        status(2, 1, 1, "Alert", 200),
        status(3, 1, 2, "Replace", 200),
        get(4, "./FUMO/State"),
        get(5, "./DevDetail/FwV"),
    ];
    assert_eq!(heard, reply(base, "2", 1, &own("YS1ub25jZQ=="), &asked.concat()));
    let told = [
        status(1, 1, 0, "SyncHdr", 212),
        status(2, 1, 4, "Get", 200),
        results(3, 1, 4, "./FUMO/State", "60"),
        status(4, 1, 5, "Get", 200),
        results(5, 1, 5, "./DevDetail/FwV", "1.0"),
        FINAL.to_owned(),
    ];
    let heard = say("2", 2, "", told.concat()).await;
    assert_eq!(heard, reply(base, "2", 2, "", &header(2, "", 212)));
    let waiting = execution(&portal, &job, &device).await;
    assert_eq!((waiting["state"].as_str(), waiting["phase"].as_str()), (Some("WAITING"), Some("DOWNLOADING")));

    // It has rebooted and reports success; the version is read back.
    let alert = format!(
        "<Alert><CmdID>3</CmdID><Data>1226</Data><Correlator>{correlator}</Correlator><Item><Source><LocURI>./FUMO/DownloadAndUpdate</LocURI></Source>\
        <Meta><Format xmlns=\"syncml:metinf\">chr</Format><Type xmlns=\"syncml:metinf\">org.openmobilealliance.dm.firmwareupdate.downloadandupdate</Type>\
        <Mark xmlns=\"syncml:metinf\">informational</Mark></Meta><Data>200</Data></Item></Alert>"
    );
    let heard = say("3", 1, &theirs(&nonce), format!("{PACKAGE_1}{alert}{FINAL}")).await;
    let asked = [
        header(1, &challenge(next_nonce(&heard)), 212),
        status(2, 1, 1, "Alert", 200),
        status(3, 1, 2, "Replace", 200),
        status(4, 1, 3, "Alert", 200),
        get(5, "./DevDetail/FwV"),
        get(6, "./FUMO/State"),
    ];
    assert_eq!(heard, reply(base, "3", 1, &own("YS1ub25jZQ=="), &asked.concat()));
    let told = [
        status(1, 1, 0, "SyncHdr", 212),
        status(2, 1, 5, "Get", 200),
        results(3, 1, 5, "./DevDetail/FwV", version_after),
        status(4, 1, 6, "Get", 200),
        results(5, 1, 6, "./FUMO/State", "100"),
        FINAL.to_owned(),
    ];
    let heard = say("3", 2, "", told.concat()).await;
    assert_eq!(heard, reply(base, "3", 2, "", &header(2, "", 212)));

    ended(&portal, &job).await;
    let execution = execution(&portal, &job, &device).await;
    server.stop().await;
    execution
}

fn evidence(execution: &serde_json::Value, fields: &[(&str, &str)]) -> usize {
    let is = |fact: &&serde_json::Value| fields.iter().all(|(field, value)| fact[field].to_string().trim_matches('"') == *value);
    execution["evidence"].as_array().unwrap().iter().filter(is).count()
}

both! {
    /// AD-12, AD-6, FU-1, F-01: challenge, digest, naming, Exec, a lost 202, the final report, and the version that proves it.
    async fn an_update_by_hand_succeeds_when_the_version_says_so(database: Database) {
        let execution = update(&database, "2.0", false).await;
        assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("SUCCEEDED"), Some("UPDATED")));
        assert_eq!(evidence(&execution, &[("type", "ANSWER_LOST"), ("command", "Exec")]), 1);
        assert_eq!(evidence(&execution, &[("type", "ALERT"), ("data", "200")]), 1);
        assert_eq!(evidence(&execution, &[("type", "READ"), ("node", "./DevDetail/FwV"), ("value", "2.0")]), 1);
    }

    /// AD-6, FU-1: the device hears the same bytes to the end, its nonces too, whatever a stranger says in its name.
    async fn an_update_by_hand_succeeds_while_a_stranger_speaks_in_its_sessions(database: Database) {
        let execution = update(&database, "2.0", true).await;
        assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("SUCCEEDED"), Some("UPDATED")));
    }

    /// FU-1: a success that the version contradicts is a failure, and says which version it is.
    async fn an_update_by_hand_fails_when_the_version_disagrees(database: Database) {
        let execution = update(&database, "1.0", false).await;
        assert_eq!((execution["state"].as_str(), execution["outcome"].as_str()), (Some("FAILED"), Some("VERSION_UNCHANGED")));
        assert_eq!(execution["detail"], "the device reported success but says version 1.0, not 2.0");
    }

    /// AD-12: the same in tokens.
    async fn wbxml_is_answered_in_wbxml(database: Database) {
        let server = Server::with(&database, Keys::mint().unwrap(), Clock::System, |config| config.gateway.details_days = 0).await;
        let portal = server.portal("acme", SCOPES).await;
        let client = json!({"auth": "BASIC", "name": "user", "secret": "pw"});
        let device = json!({"dmIdentity": "IMEI:2", "account": {"serverId": "srv", "client": client}});
        portal.post("/v1/devices", &device).await.of(201);
        assert_eq!(basic_cred("user", "pw").matches("dXNlcjpwdw==").count(), 1);
        let said = b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x031.2\0\x01\x72\x03DM/1.2\0\x01\x65\x039\0\x01\x5B\x031\0\x01\
            \x6E\x57\x03http://s/dm\0\x01\x01\x67\x57\x03IMEI:2\0\x01\x01\x4E\x5A\x00\x01\x47\x03b64\0\x01\x53\x03syncml:auth-basic\0\x01\x01\
            \x00\x00\x4F\x03dXNlcjpwdw==\0\x01\x01\x01\x6B\x46\x4B\x031\0\x01\x4F\x031201\0\x01\x01\x12\x01\x01";
        let heard = Phone::of(server.url()).post(phone::WBXML, said.to_vec()).await;
        assert_eq!((heard.status, heard.content_type.as_str()), (200, phone::WBXML));
        let mut expected = b"\x02\xA4\x01\x6A\x00\x6D\x6C\x71\x031.2\0\x01\x72\x03DM/1.2\0\x01\x65\x039\0\x01\x5B\x031\0\x01\
            \x6E\x57\x03IMEI:2\0\x01\x01\x67\x57\x03http://s/dm\0\x01\x56\x03srv\0\x01\x01\x61\x03".to_vec();
        expected.extend(format!("{}/dm?s=", server.url()).as_bytes());
        let pass = heard.body.get(expected.len()..expected.len() + 22).unwrap();
        assert!(pass.iter().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(c)), "{pass:?}");
        expected.extend(pass);
        expected.extend(b"\0\x01\x5A\x00\x01\x4C\x03262144\0\x01\x55\x031048576\0\x01\x01\x01\
            \x00\x00\x6B\x69\x4B\x031\0\x01\x5C\x031\0\x01\x4C\x030\0\x01\x4A\x03SyncHdr\0\x01\x6F\x03http://s/dm\0\x01\x68\x03IMEI:2\0\x01\x4F\x03212\0\x01\x01\
            \x69\x4B\x032\0\x01\x5C\x031\0\x01\x4C\x031\0\x01\x4A\x03Alert\0\x01\x4F\x03200\0\x01\x01\x12\x01\x01");
        assert_eq!(heard.body.escape_ascii().to_string(), expected.escape_ascii().to_string());
        server.stop().await;
    }
}
