//! Reading a message: WBXML against libwbxml's parser, XML against a pull of quick-xml that keeps nothing.
//!
//! `cargo run --release -p dmwsi-codec-bench`
#[cfg(libwbxml)]
mod libwbxml;

use std::hint::black_box;
use std::time::{Duration, Instant};

use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::message::{Data, Element, Header, Item, Message, Meta, Party, Results, Status};
use quick_xml::Reader;
use quick_xml::events::Event;

/// As in the product. libwbxml keeps the allocator of the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measured rounds of each, in turn; the middle one counts.
const ROUNDS: usize = 135;
/// How long a round takes at least; short, so that what else the machine does meanwhile meets all of them alike.
const ROUND: Duration = Duration::from_millis(20);

fn main() {
    let message = message();
    let (wbxml, xml) = (Encoding::Wbxml.encode(&message), Encoding::Xml.encode(&message));
    println!("a message with eight items: {} bytes of WBXML, {} of XML", wbxml.len(), xml.len());
    assert_eq!(Encoding::Wbxml.decode(&wbxml).as_ref(), Ok(&message), "what is measured is right");
    assert_eq!(Encoding::Xml.decode(&xml).as_ref(), Ok(&message), "what is measured is right");

    #[cfg(libwbxml)]
    {
        assert!(libwbxml::read(&wbxml), "libwbxml reads it too");
        let [ours, theirs] = in_turn([&mut || drop(black_box(Encoding::Wbxml.decode(black_box(&wbxml)))), &mut || {
            assert!(libwbxml::read(black_box(&wbxml)))
        }]);
        report("WBXML to message", ours, "libwbxml, to its tree", theirs, 5.0);
    }
    #[cfg(not(libwbxml))]
    println!("libwbxml2-dev is not installed: not measured");

    let [ours, bare] = in_turn([&mut || drop(black_box(Encoding::Xml.decode(black_box(&xml)))), &mut || {
        black_box(pull(black_box(&xml)));
    }]);
    report("XML to message", ours, "quick-xml, to nothing", bare, 0.5);
}

/// Every event of the document, and nothing else.
fn pull(body: &[u8]) -> usize {
    let mut reader = Reader::from_reader(body);
    let mut events = 0;
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return events,
            Ok(_) => events += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The middle time of one call of each.
fn in_turn<const N: usize>(mut calls: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (call, times) in calls.iter_mut().zip(&mut times) {
            times.push(once(call));
        }
    }
    times.map(|mut times: Vec<Duration>| {
        times.sort_unstable();
        times.swap_remove(ROUNDS / 2)
    })
}

/// The time of one call, from as many as fill a round.
fn once(call: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    let mut calls = 0_u32;
    loop {
        for _ in 0..20 {
            call();
        }
        calls += 20;
        let spent = start.elapsed();
        if spent > ROUND {
            return spent / calls;
        }
    }
}

fn report(ours: &str, our_time: Duration, theirs: &str, their_time: Duration, aim: f64) {
    let ratio = their_time.as_secs_f64() / our_time.as_secs_f64();
    println!("{ours}: {our_time:?}; {theirs}: {their_time:?}; ratio {ratio:.2} (aim {aim})");
}

/// What a device says that was asked for eight nodes: a status of the header and of the command, and their values.
fn message() -> Message {
    let leaf = |n: usize| Item {
        source: Some(format!("./DevDetail/Ext/Diagnostics/Radio/Cell{n}/Quality/Reported")),
        meta: Meta { format: Some("chr".to_owned()), media_type: Some("text/plain".to_owned()), ..Meta::default() },
        data: Some(Data::Text(format!(
            "{n}: the value of a node that was read & \"kept\", with some words more than a number, and on to the end "
        ))),
        ..Item::default()
    };
    let status = |id: &str, command: &str, name: &str| Status {
        id: id.to_owned(),
        message: 3,
        command: command.to_owned(),
        name: name.to_owned(),
        targets: vec!["https://dm.example/dm".to_owned()],
        code: dmwsi_objects::StatusCode::OK,
        ..Status::default()
    };
    Message {
        header: Header {
            dtd: "1.2".to_owned(),
            protocol: "DM/1.2".to_owned(),
            session: "1A2B".to_owned(),
            message: 4,
            target: Party { uri: "https://dm.example/dm?s=b3BhcXVlIGFuZCBsb25n".to_owned(), name: None },
            source: Party { uri: "IMEI:490154203237518".to_owned(), name: Some("client".to_owned()) },
            max_message: Some(16_384),
            ..Header::default()
        },
        body: vec![
            Element::Status(status("1", "0", "SyncHdr")),
            Element::Status(status("2", "5", "Get")),
            Element::Results(Results {
                id: "3".to_owned(),
                message: 3,
                command: "5".to_owned(),
                items: (1..=8).map(leaf).collect(),
                ..Results::default()
            }),
        ],
        last: true,
    }
}
