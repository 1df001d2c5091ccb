//! Downloads of devices: every header, every break, every reason why there is nothing.
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi::clients::{NewClient, add};
use dmwsi::keys::Keys;
use dmwsi_domain::Clock;
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_simulator::{Behaviour, sample_package};
use dmwsi_store::downloads::Sent;
use dmwsi_worker::download::{DownloadToken, Tokens};
use openssl::sha::sha256;
use reqwest::Method;
use serde_json::json;

use crate::harness::archive::hex;
use crate::harness::eventually;
use crate::harness::fetch::{SCOPES, Scene, deliver, ordered, updated};
use crate::harness::handset::{Handset, ended, execution, outcome};
use crate::harness::process::Process;
use crate::harness::server::{Got, Portal};

/// Everything of an answer but its time.
fn seen(got: &Got) -> (u16, BTreeSet<String>, &str) {
    let headers = got.headers.iter().filter(|(name, _)| *name != "date");
    (got.status.as_u16(), headers.map(|(name, value)| format!("{name}: {value:?}")).collect(), &got.text)
}

/// A connection on which a download was asked for, and nothing is read but what `read` asks for.
struct Raw(std::net::TcpStream);

impl Raw {
    fn get(base: &str, path: &str) -> Self {
        let mut stream = std::net::TcpStream::connect(base.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        Self(stream)
    }

    /// Reads on until the connection ends or `most` bytes have come; how many.
    fn read(&mut self, most: usize) -> usize {
        let (mut all, mut buffer) = (0, vec![0; 65_536]);
        while all < most {
            match self.0.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => all += count,
            }
        }
        all
    }
}

both! {
    /// FU-1, L-01: every header of RFC 9110 that a download client may send.
    async fn a_package_is_served_whole_and_in_parts(database: Database) {
        let scene = Scene::on(&database, 5_000, Behaviour::default(), |_| ()).await;
        let (tag, digest) = (format!("\"{}\"", hex(&scene.bytes)), format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256(&scene.bytes))));
        let whole = scene.get(&[("accept-encoding", "gzip, br"), ("accept", "*/*")]).await;
        assert_eq!((whole.status.as_u16(), whole.text.as_bytes()), (200, &*scene.bytes));
        for (name, value) in [
            ("content-length", "5000"), ("accept-ranges", "bytes"), ("etag", &tag), ("content-type", "application/octet-stream"),
            ("repr-digest", &digest), ("content-digest", &digest), ("cache-control", "private, no-store"), ("content-encoding", ""),
            ("transfer-encoding", ""), ("content-range", ""), ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(whole.header(name), value, "{name}");
        }
        let modified = whole.header("last-modified").to_owned();
        assert!(modified.ends_with(" GMT"), "{modified}");
        let head = scene.server.send(Method::HEAD, &scene.path(), &[("range", "bytes=0-1")], "").await;
        assert_eq!((head.status.as_u16(), head.header("content-length"), head.text.as_str()), (200, "5000", ""));
        assert_eq!((head.header("etag"), head.header("repr-digest"), head.header("accept-ranges")), (&*tag, &*digest, "bytes"));
        for (range, from, end) in [
            ("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=4999-", 4_999, 5_000), ("bytes=1-", 1, 5_000), ("bytes=-1", 4_999, 5_000),
            ("bytes=-9999", 0, 5_000), ("bytes=4000-9999", 4_000, 5_000),
        ] {
            let got = scene.get(&[("range", range)]).await;
            assert_eq!((got.status.as_u16(), got.text.as_bytes()), (206, &scene.bytes[from..end]), "{range}");
            assert_eq!(got.header("content-range"), format!("bytes {from}-{}/5000", end - 1));
            assert_eq!((got.header("content-length"), got.header("etag")), ((end - from).to_string().as_str(), &*tag));
            assert_eq!((got.header("repr-digest"), got.header("content-digest")), (&*digest, ""));
        }
        for range in ["bytes=5000-", "bytes=9999-99999", "bytes=-0"] {
            let got = scene.get(&[("range", range)]).await;
            assert_eq!((got.status.as_u16(), got.header("content-range"), got.text.as_str()), (416, "bytes */5000", ""), "{range}");
        }
        for range in ["bytes=9-3", "bytes=0-1,4-5", "lines=0-1", "bytes", "bytes=x-y", ""] {
            assert_eq!(scene.get(&[("range", range)]).await.status.as_u16(), 200, "{range}");
        }
        let part = ("range", "bytes=10-19");
        let (later, earlier) = ("Fri, 01 Jan 2100 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT");
        let weak = format!("W/{tag}");
        for (name, value, status, ranged) in [
            ("if-range", &*tag, 200, 206), ("if-range", &modified, 200, 206), ("if-range", &weak, 200, 200), ("if-range", "\"other\"", 200, 200),
            ("if-range", earlier, 200, 200), ("if-range", later, 200, 200), ("if-range", "nonsense", 200, 200),
            ("if-none-match", &tag, 304, 304), ("if-none-match", &weak, 304, 304), ("if-none-match", "*", 304, 304), ("if-none-match", "\"other\"", 200, 206),
            ("if-modified-since", &modified, 304, 304), ("if-modified-since", later, 304, 304), ("if-modified-since", earlier, 200, 206),
            ("if-match", &tag, 200, 206), ("if-match", "*", 200, 206), ("if-match", "\"other\"", 412, 412), ("if-match", &weak, 412, 412),
            ("if-unmodified-since", &modified, 200, 206), ("if-unmodified-since", earlier, 412, 412),
        ] {
            let (plain, in_part) = (scene.get(&[(name, value)]).await, scene.get(&[(name, value), part]).await);
            assert_eq!((plain.status.as_u16(), in_part.status.as_u16()), (status, ranged), "{name}: {value}");
            if status == 304 {
                assert_eq!((plain.header("etag"), plain.text.as_str()), (&*tag, ""));
            }
        }
        let both = scene.get(&[("if-none-match", "\"other\""), ("if-modified-since", later)]).await;
        assert_eq!(both.status.as_u16(), 200, "the tag counts, and the date no more");
        let posted = scene.server.send(Method::POST, &scene.path(), &[], "x").await;
        assert_eq!(posted.status.as_u16(), 405);
        scene.server.stop().await;
    }

    /// FU-1: expired, forged, foreign, over, withdrawn: one answer.
    async fn behind_a_token_that_is_no_good_there_is_nothing(database: Database) {
        let scene = Scene::on(&database, 5_000, Behaviour::default(), |_| ()).await;
        let get = async |path: String| scene.server.send(Method::GET, &path, &[], "").await;
        let nothing = get("/downloads/nothing".to_owned()).await;
        assert_eq!((nothing.status.as_u16(), nothing.header("cache-control")), (404, "private, no-store"));
        let own = scene.tokens();
        let past = Clock::System.now().minus(Duration::from_secs(2));
        let of = |tokens: &Tokens, token: DownloadToken| format!("/downloads/{}", tokens.mint(&token));
        let mut wrong = vec![
            of(&own, DownloadToken { expires: past, ..scene.token }),
            of(&own, DownloadToken { ordinal: 1, ..scene.token }),
            of(&own, DownloadToken { payload: Sha256Digest::new([7; 32]), ..scene.token }),
            of(&own, DownloadToken { job: dmwsi_domain::id::JobId::new(Clock::System.new_id()), ..scene.token }),
            of(&Tokens::new([7; 32]), scene.token),
            scene.path().replace("/downloads/", "/downloads/A"),
        ];
        // Content of another organisation is not to be had by a device of this one.
        let stranger = scene.server.portal("other", SCOPES).await;
        let secret = sample_package("9.0.0", 600);
        deliver(&stranger, "urn:s", 1, &secret).await;
        wrong.push(of(&own, DownloadToken { payload: Sha256Digest::new(sha256(&secret)), ..scene.token }));
        for path in wrong {
            for path in [path.clone(), format!("{path}/object")] {
                assert_eq!(seen(&get(path.clone()).await), seen(&nothing), "{path}");
            }
        }
        assert_eq!(scene.get(&[]).await.status.as_u16(), 200);
        // Withdrawn, also when another container brings the same bytes.
        assert_eq!(scene.portal.post(&format!("{}/withdraw", scene.container), &json!({})).await.status.as_u16(), 200);
        assert_eq!(seen(&scene.get(&[]).await), seen(&nothing));
        deliver(&scene.portal, "urn:b", 2, &scene.bytes).await;
        assert_eq!(seen(&scene.get(&[]).await), seen(&nothing));
        // Cancelled.
        let (server, portal) = (&scene.server, &scene.portal);
        let (job, token) = ordered(server.store(), &server.keys, server.url(), portal, &scene.handset, &scene.bytes).await;
        assert_eq!(get(of(&own, token)).await.status.as_u16(), 200);
        portal.post(&format!("{job}/cancel"), &json!({})).await.of(202);
        ended(portal, &job).await;
        assert_eq!(seen(&get(of(&own, token)).await), seen(&nothing));
        scene.server.stop().await;
    }

    /// FU-1: a hundred breaks, and hardly a byte more than once.
    async fn a_download_broken_a_hundred_times_goes_on_where_it_broke(database: Database) {
        const SIZE: usize = 6_000_000;
        let mut seed = 0x9E37_79B9_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            1 + seed % (u64::try_from(SIZE).unwrap() - 1)
        };
        let breaks: BTreeSet<u64> = (0..100).map(|_| random()).collect();
        let behaviour = Behaviour { break_downloads: breaks.iter().copied().collect(), retry_ms: 1, ..Behaviour::default() };
        let mut scene = Scene::on(&database, SIZE, behaviour, |config| {
            config.downloads.bytes_per_second_each = 20_000_000;
            config.downloads.chunk_bytes = 16_384;
        }).await;
        scene.handset.live().await;
        ended(&scene.portal, &scene.job).await;
        assert_eq!(outcome(&scene.portal, &scene.job, &scene.handset.id).await, updated());
        let requests = u64::try_from(breaks.len()).unwrap() + 1;
        eventually("all is counted", async || scene.execution().await["download"]["requests"] == requests).await;
        let download = scene.execution().await["download"].clone();
        let size = u64::try_from(SIZE).unwrap();
        assert_eq!((download["size"].as_u64(), download["reached"].as_u64()), (Some(size), Some(size)), "{download}");
        // Where a connection breaks, what filled the buffers of the sockets never reached the device; how much that is, is the system's to
        // say. Had it begun anew each time, it would be fifty times the package.
        let sent = download["sent"].as_u64().unwrap();
        assert!(sent >= size && sent < 20 * size, "{download}");
        scene.server.stop().await;
    }

    /// FU-1: seen while it runs, and the row of the execution is left alone.
    async fn progress_is_seen_while_a_device_downloads(database: Database) {
        let mut scene = Scene::on(&database, 3_000_000, Behaviour::default(), |config| config.downloads.bytes_per_second_each = 700_000).await;
        scene.handset.device.check_in().await.unwrap();
        let before = scene.execution().await;
        assert_eq!((before["phase"].as_str(), before["progress"].as_u64(), before.get("download")), (Some("DOWNLOADING"), Some(30), None));
        let path = format!("{}/executions/{}", scene.job, scene.handset.id);
        let mut tags = BTreeSet::from([scene.portal.get(&path).await.header("etag").to_owned()]);
        let (job, ordinal) = (scene.token.job, scene.token.ordinal);
        let revision = async || scene.server.store().read(move |tx| tx.execution(job, ordinal)).await.unwrap().revision;
        let revised = revision().await;
        let mut steps = BTreeSet::new();
        {
            let mut working = std::pin::pin!(scene.handset.device.work());
            loop {
                tokio::select! {
                    () = &mut working => break,
                    () = tokio::time::sleep(Duration::from_millis(200)) => {
                        let got = scene.portal.get(&path).await;
                        let now = got.json();
                        tags.insert(got.header("etag").to_owned());
                        steps.insert((now["progress"].as_u64().unwrap(), now["download"]["reached"].as_u64().unwrap_or(0)));
                        let listed = scene.portal.get(&format!("{}/executions", scene.job)).await.json();
                        assert!(listed["items"][0]["progress"].as_u64() >= now["progress"].as_u64(), "{listed}");
                    }
                }
            }
        }
        assert!(steps.len() >= 3 && tags.len() >= 3, "{steps:?} {tags:?}");
        assert!(steps.iter().all(|(progress, reached)| *progress == 30 + reached * 40 / 3_000_000), "{steps:?}");
        assert_eq!(revision().await, revised, "counting writes nothing to the row of the execution");
        scene.handset.live().await;
        ended(&scene.portal, &scene.job).await;
        assert_eq!(outcome(&scene.portal, &scene.job, &scene.handset.id).await, updated());
        assert_eq!(scene.execution().await["progress"], 100);
        scene.server.stop().await;
    }

    /// What several processes write at the same time adds up.
    async fn what_two_processes_counted_adds_up(database: Database) {
        let scene = Scene::on(&database, 5_000, Behaviour::default(), |_| ()).await;
        let DownloadToken { job, ordinal, payload, .. } = scene.token;
        let other = database.open();
        let mut all = tokio::task::JoinSet::new();
        for number in 0..40_u64 {
            let store = if number % 2 == 0 { scene.server.store().clone() } else { other.clone() };
            let at = Clock::System.now();
            let reached = 100 * ((number * 7) % 40);
            let gone = Sent { job, ordinal: 9, payload, size: 5_000, sent: 1, reached: 1, requests: 1, at };
            let sent = Sent { job, ordinal, payload, size: 5_000, sent: 100, reached, requests: 1, at };
            all.spawn(async move { store.write(move |tx| tx.add_sent(&[sent.clone(), gone.clone()])).await });
        }
        while let Some(written) = all.join_next().await {
            written.unwrap().unwrap();
        }
        let download = scene.execution().await["download"].clone();
        assert_eq!((download["sent"].as_u64(), download["reached"].as_u64(), download["requests"].as_u64()), (Some(4_000), Some(3_900), Some(40)));
        scene.server.stop().await;
    }

    /// FU-1: a budget for all, one for each, and places.
    async fn no_more_is_sent_than_the_operator_allows(database: Database) {
        let scene = Scene::on(&database, 1_000_000, Behaviour::default(), |config| config.downloads.bytes_per_second = 1_000_000).await;
        let began = Instant::now();
        let (first, second) = tokio::join!(scene.get(&[]), scene.get(&[]));
        let took = began.elapsed();
        assert_eq!((first.text.len(), second.text.len()), (1_000_000, 1_000_000));
        assert!(took > Duration::from_millis(1_700) && took < Duration::from_secs(4), "{took:?}");
        scene.server.stop().await;
    }

    /// FU-1: the budget of one download is that of all its requests together.
    async fn two_connections_do_not_make_a_download_faster(database: Database) {
        let scene = Scene::on(&database, 1_000_000, Behaviour::default(), |config| config.downloads.bytes_per_second_each = 500_000).await;
        let began = Instant::now();
        let (first, second) = tokio::join!(scene.get(&[("range", "bytes=0-499999")]), scene.get(&[("range", "bytes=500000-")]));
        let took = began.elapsed();
        assert_eq!((first.text.len(), second.text.len()), (500_000, 500_000));
        assert!(took > Duration::from_millis(1_700) && took < Duration::from_secs(4), "{took:?}");
        scene.server.stop().await;
    }

    /// FU-1: who comes when all places are taken comes again later; who takes nothing loses its place.
    async fn there_are_so_many_places_and_nobody_keeps_one_for_nothing(database: Database) {
        let scene = Scene::on(&database, 60_000_000, Behaviour::default(), |config| {
            config.downloads.max_open = 1;
            config.downloads.stalled_seconds = 2;
        }).await;
        let mut stalled = Raw::get(scene.server.url(), &scene.path());
        eventually("the place is taken", async || scene.get(&[("range", "bytes=0-0")]).await.status.as_u16() == 503).await;
        let turned_away = scene.get(&[]).await;
        assert_eq!((turned_away.status.as_u16(), turned_away.header("retry-after")), (503, "30"));
        assert_eq!(scene.server.send(Method::HEAD, &scene.path(), &[], "").await.status.as_u16(), 200);
        eventually("the place is free", async || scene.get(&[("range", "bytes=0-0")]).await.status.as_u16() == 206).await;
        let rest = tokio::task::spawn_blocking(move || stalled.read(usize::MAX)).await.unwrap();
        assert!(rest < 60_000_000, "it was broken off");
        scene.server.stop().await;
    }

    /// FU-1: withdrawn, or no longer wanted, while a device is at it.
    async fn what_is_withdrawn_stops_on_the_way(database: Database) {
        let mut scene = Scene::on(&database, 2_000_000, Behaviour::default(), |config| config.downloads.bytes_per_second_each = 200_000).await;
        for withdrawn in [true, false] {
            let mut raw = Raw::get(scene.server.url(), &scene.path());
            assert!(raw.read(10_000) >= 10_000);
            if withdrawn {
                assert_eq!(scene.portal.post(&format!("{}/withdraw", scene.container), &json!({})).await.status.as_u16(), 200);
            } else {
                scene.portal.post(&format!("{}/cancel", scene.job), &json!({})).await.of(202);
            }
            let began = Instant::now();
            let rest = tokio::task::spawn_blocking(move || raw.read(usize::MAX)).await.unwrap();
            assert!(rest < 1_500_000 && began.elapsed() < Duration::from_secs(7), "{rest} {:?}", began.elapsed());
            if withdrawn {
                deliver(&scene.portal, "urn:b", 2, &scene.bytes).await;
                let server = &scene.server;
                let again = ordered(server.store(), &server.keys, server.url(), &scene.portal, &scene.handset, &scene.bytes);
                (scene.job, scene.token) = again.await;
            }
        }
        scene.server.stop().await;
    }
}

both! {
    /// FU-1: `kill -9` in the middle of a download; it goes on after the restart.
    async fn a_download_outlives_a_server_that_is_killed(database: Database) {
        let store = database.store().await;
        let new = NewClient { organisation: "acme".into(), name: "portal".into(), scopes: SCOPES.parse().unwrap() };
        let (client, secret) = add(&store, &Clock::System, new).await.unwrap();
        let keys = Keys::mint().unwrap();
        let text = toml::to_string(&keys).unwrap();
        let slow = [("DMWSI__DOWNLOADS__BYTES_PER_SECOND_EACH", "1500000"), ("DMWSI__DOWNLOADS__FLUSH_SECONDS", "1")];
        let process = Process::serve_as(&database, &text, "all", &slow);
        let portal = Portal::log_in(&process.base, &client, &secret).await;
        let bytes = sample_package("2.0.0", 6_000_000);
        deliver(&portal, "urn:a", 1, &bytes).await;
        let behaviour = Behaviour { retry_ms: 100, download_tries: 200, ..Behaviour::default() };
        let mut handset = Handset::register(&portal, &process.base, behaviour).await;
        let (job, _token) = ordered(&store, &keys, &process.base, &portal, &handset, &bytes).await;
        handset.device.check_in().await.unwrap();
        let id = handset.id.clone();
        let working = tokio::spawn(async move {
            handset.device.work().await;
            handset
        });
        eventually("some of it was sent", async || execution(&portal, &job, &id).await["download"]["reached"].as_u64() > Some(1_000_000)).await;
        let address = process.base.trim_start_matches("http://").to_owned();
        process.kill();
        let [rate, flush] = slow;
        let process = Process::serve_as(&database, &text, "all", &[rate, flush, ("DMWSI__LISTEN__ADDRESS", &address), ("DMWSI__TASKS__LEASE_MS", "1000")]);
        let mut handset = working.await.unwrap();
        let portal = Portal::log_in(&process.base, &client, &secret).await;
        eventually("all of it was sent", async || execution(&portal, &job, &id).await["download"]["reached"] == 6_000_000).await;
        let download = execution(&portal, &job, &id).await["download"].clone();
        assert!(download["requests"].as_u64() >= Some(2) && download["sent"].as_u64() < Some(8_000_000), "{download}");
        handset.live().await;
        ended(&portal, &job).await;
        assert_eq!(outcome(&portal, &job, &handset.id).await, updated());
        process.kill();
    }
}
