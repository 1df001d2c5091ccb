//! Sessions of devices whose messages are written by hand, in the forms in which clients are known to send them.
use super::*;
use crate::server::Turn;
use dmwsi_objects::Answer;

/// A message in XML.
fn body(session: &str, number: u32, header: &str, body: &str) -> Message {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns='SYNCML:SYNCML1.2' xmlns:msft='http://schemas.microsoft.com/MobileDevice/MDM'>\
         <SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>{session}</SessionID><MsgID>{number}</MsgID>\
         <Target><LocURI>{SERVER}</LocURI></Target><Source><LocURI>{DEVICE}</LocURI></Source>{header}</SyncHdr>\
         <SyncBody>{body}<Final/></SyncBody></SyncML>"
    );
    Encoding::Xml.decode(xml.as_bytes()).unwrap()
}

fn credentials(kind: AuthType) -> String {
    let Credentials { kind, data, .. } = right(kind);
    format!(
        "<Cred><Meta><Format xmlns='syncml:metinf'>b64</Format><Type xmlns='syncml:metinf'>{kind}</Type></Meta><Data>{data}</Data></Cred>"
    )
}

/// Windows: events before DevInfo, no Meta, `Cmd` in a Results, an attribute at a Status, references that are missing. AD-12
#[test]
fn a_session_as_windows_has_it() {
    let [mut scene, _] = scenes();
    let events = "<Alert><CmdID>2</CmdID><Data>1201</Data></Alert>\
        <Alert><CmdID>3</CmdID><Data>1224</Data><Item><Meta><Type xmlns=\"syncml:metinf\">com.microsoft/MDM/LoginStatus</Type></Meta>\
        <Data>user</Data></Item></Alert>\
        <Replace><CmdID>4</CmdID><Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Data>urn:uuid:1</Data></Item>\
        <Item><Source><LocURI>./DevInfo/DmV</LocURI></Source><Data>1.3</Data></Item></Replace>";
    let received = scene.hear(body("7", 1, &credentials(AuthType::Digest), events));
    assert_eq!(received.turn, Turn::Offer);
    assert_eq!((received.events.len(), received.device.len()), (1, 2));
    let reply = scene.say(vec![get("./DevDetail/SwV"), set("./Vendor/MSFT/X", "1")]);
    assert_eq!(sent(&reply), [(5, "Get", "./DevDetail/SwV".to_owned()), (6, "Replace", "./Vendor/MSFT/X".to_owned())]);
    let answers = "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>200</Data></Status>\
        <Status><CmdID>2</CmdID><MsgRef>1</MsgRef><CmdRef>5</CmdRef><Cmd>Get</Cmd><Data>200</Data></Status>\
        <Results><CmdID>3</CmdID><MsgRef>1</MsgRef><CmdRef>5</CmdRef><Cmd>Get</Cmd><Item><Source><LocURI>./DevDetail/SwV</LocURI></Source>\
        <Data>10.0.19045</Data></Item></Results>\
        <Status><CmdID>4</CmdID><MsgRef>1</MsgRef><CmdRef>6</CmdRef><Cmd>Replace</Cmd><Data msft:originalerror=\"0x86000002\">404</Data></Status>";
    let received = scene.hear(body("7", 2, "", answers));
    assert_eq!(received.turn, Turn::Offer);
    assert_eq!(received.answers[0].value(), Some(&Value::text("10.0.19045")));
    assert_eq!(received.answers[1].status, Some(StatusCode::NOT_FOUND));
    let reply = scene.say(vec![]);
    assert!(reply.ended && reply.message.header.session == "7");
}

/// libdmclient: DevInfo in reverse with its interior nodes, status 0 until the server is authenticated, Results between Statuses, a NUL in a list. AD-12
#[test]
fn a_session_as_libdmclient_has_it() {
    let [mut scene, _] = scenes();
    let first = "<Alert><CmdID>1</CmdID><Data>1201</Data></Alert><Replace><CmdID>2</CmdID>\
        <Item><Source><LocURI>./DevInfo/Ext</LocURI></Source><Meta><Format xmlns='syncml:metinf'>node</Format></Meta><Data>Intel</Data></Item>\
        <Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Meta><Format xmlns='syncml:metinf'>chr</Format>\
        <Type xmlns='syncml:metinf'>text/plain</Type></Meta><Data>DMCtest</Data></Item></Replace>";
    let received = scene.hear(body("A", 1, &credentials(AuthType::Digest), first));
    assert_eq!((received.turn, received.device.len()), (Turn::Offer, 1));
    scene.say(vec![get("."), get("./nothere"), get("./E")]);
    let header = |message: u32, code: u16| {
        format!(
            "<Status><CmdID>1</CmdID><MsgRef>{message}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><TargetRef>{DEVICE}</TargetRef>\
             <SourceRef>{SERVER}</SourceRef><Data>{code}</Data></Status>"
        )
    };
    let status = |message: u32, command: u32, code: u16| {
        format!(
            "<Status><CmdID>{command}</CmdID><MsgRef>{message}</MsgRef><CmdRef>{command}</CmdRef><Cmd>Get</Cmd><Data>{code}</Data></Status>"
        )
    };
    let zeroes: String = [4, 5, 6].map(|command| status(1, command, 0)).concat();
    assert_eq!(scene.hear(body("A", 2, "", &(header(1, 0) + &zeroes))).turn, Turn::Continue);
    assert_eq!(sent(&scene.say(vec![])).len(), 3);
    let answers = header(2, 212)
        + &status(2, 2, 200)
        + "<Results><CmdID>9</CmdID><MsgRef>2</MsgRef><CmdRef>2</CmdRef><Item><Source><LocURI>.</LocURI></Source><Meta>\
           <Format xmlns='syncml:metinf'>node</Format></Meta><Data>Inbox/DMAcc/test\0</Data></Item></Results>"
        + &status(2, 3, 404)
        + &status(2, 4, 200)
        + "<Results><CmdID>10</CmdID><MsgRef>2</MsgRef><CmdRef>4</CmdRef><Item><Source><LocURI>./E</LocURI></Source></Item></Results>";
    let received = scene.hear(body("A", 3, "", &answers));
    assert_eq!(received.turn, Turn::Offer);
    assert!(received.answers[0].value().unwrap().children().eq(["Inbox", "DMAcc", "test"]));
    assert_eq!(received.answers.iter().map(Answer::succeeded).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(received.answers[2].value().unwrap().data, "");
}
