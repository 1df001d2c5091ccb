//! The floors: bare actix handlers that do only what nobody can do without.
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use quick_xml::Reader;
use quick_xml::events::Event;
use tokio::sync::oneshot;

/// What a floor does for each request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Floor {
    /// Nothing: it answers.
    Nothing,
    /// Parses the message and reads the device's row by its primary key.
    Read,
    /// That, and writes a small row, many requests sharing a commit.
    ReadAndWrite,
}

/// As long as a usual reply.
const REPLY: &str = include_str!("reply.xml");

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
}

thread_local! {
    static READER: RefCell<Option<SqliteConnection>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct State {
    floor: Floor,
    path: PathBuf,
    writes: mpsc::Sender<oneshot::Sender<()>>,
}

fn connect(path: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL").unwrap();
    conn
}

/// Starts a floor over a database of its own in that folder, with a row for each of these devices.
pub(crate) fn start(floor: Floor, folder: &std::path::Path, devices: &[String], threads: usize) -> SocketAddr {
    let path = folder.join(format!("{floor:?}.db"));
    let mut conn = connect(&path);
    conn.batch_execute(
        "CREATE TABLE IF NOT EXISTS device (id TEXT PRIMARY KEY, value BLOB); CREATE TABLE IF NOT EXISTS log (v BLOB)",
    )
    .unwrap();
    conn.batch_execute("BEGIN").unwrap();
    for device in devices {
        diesel::sql_query("INSERT OR IGNORE INTO device VALUES (?, ?)")
            .bind::<Text, _>(device)
            .bind::<Binary, _>(vec![7_u8; 400])
            .execute(&mut conn)
            .unwrap();
    }
    conn.batch_execute("COMMIT").unwrap();
    let (writes, waiting) = mpsc::channel::<oneshot::Sender<()>>();
    std::thread::spawn(move || commit_together(conn, &waiting));
    let state = State { floor, path, writes };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = HttpServer::new(move || App::new().app_data(Data::new(state.clone())).route("/dm", web::post().to(answer)));
    tokio::spawn(server.workers(threads).disable_signals().listen(listener).unwrap().run());
    address
}

async fn answer(state: Data<State>, body: Bytes) -> HttpResponse {
    if state.floor != Floor::Nothing {
        let device = device_in(&body);
        let value = READER.with_borrow_mut(|reader| {
            let conn = reader.get_or_insert_with(|| connect(&state.path));
            diesel::sql_query("SELECT value FROM device WHERE id = ?").bind::<Text, _>(&device).get_result::<Row>(conn).unwrap()
        });
        assert_eq!(value.value.len(), 400);
    }
    if state.floor == Floor::ReadAndWrite {
        let (done, waiting) = oneshot::channel();
        state.writes.send(done).unwrap();
        waiting.await.unwrap();
    }
    HttpResponse::Ok().content_type("application/vnd.syncml.dm+xml").body(REPLY)
}

/// Parses all of the message and brings Source/LocURI of its header.
fn device_in(body: &[u8]) -> String {
    let mut reader = Reader::from_reader(body);
    let (mut source, mut device) = (false, String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return device,
            Event::Start(element) => source |= element.name().as_ref() == "Source",
            Event::Text(text) if source && device.is_empty() => device = text.xml10_content().into_owned(),
            _ => {}
        }
    }
}

/// One row a request, as many to a commit as wait.
fn commit_together(mut conn: SqliteConnection, waiting: &mpsc::Receiver<oneshot::Sender<()>>) {
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(511));
        conn.batch_execute("BEGIN IMMEDIATE").unwrap();
        for _ in &batch {
            diesel::sql_query("INSERT INTO log VALUES (?)").bind::<Binary, _>(vec![7_u8; 400]).execute(&mut conn).unwrap();
        }
        conn.batch_execute("COMMIT").unwrap();
        for one in batch {
            one.send(()).unwrap();
        }
    }
}
