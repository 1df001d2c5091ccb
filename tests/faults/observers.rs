//! Who is told: receivers that answer badly, and a reader of the log.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmwsi_domain::event::Event;
use reqwest::Method;
use serde_json::{Value, json};

use super::caller::Caller;
use super::dice::Dice;
use super::front::Front;
use super::journal::{Journal, Told, What};
use crate::harness::eventually;
use crate::harness::receiver::{Came, Receiver, Reply, says, taken};

/// How badly the receivers answer, in failures of a hundred; the last one takes everything.
pub(crate) const FAILURES: [u64; 3] = [10, 3, 0];

/// Receivers, each behind a front that can be shut.
pub(crate) struct Receivers {
    all: Vec<(Receiver, Front)>,
}

impl Receivers {
    pub(crate) async fn open(journal: &Arc<Journal>, seed: u64, failures: [u64; 3]) -> Self {
        let mut all = Vec::new();
        for (number, failures) in failures.into_iter().enumerate() {
            let dice = Dice::of(seed, &format!("receiver {number}"));
            let (journal, chance) = (Arc::clone(journal), Mutex::new(dice.clone()));
            let receiver = Receiver::open(move |came, _count| hear(came, &journal, failures, &mut chance.lock().unwrap())).await;
            let front = Front::open(dice, false).await;
            front.add(0, receiver.url.trim_start_matches("http://").trim_end_matches("/events").parse().unwrap());
            all.push((receiver, front));
        }
        Self { all }
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Where a receiver is reached.
    pub(crate) fn url(&self, number: usize) -> String {
        format!("{}/events", self.all[number].1.url())
    }

    /// Nothing is heard of a receiver any more, or it is back.
    pub(crate) fn shut(&self, number: usize, is_shut: bool) {
        self.all[number].1.shut(is_shut);
    }

    /// What stands in the journal need not stand here.
    pub(crate) fn forget(&self) {
        self.all.iter().for_each(|(receiver, _)| receiver.forget());
    }

    /// Subscribes each to everything, and waits until the log tells so.
    pub(crate) async fn subscribe(&self, caller: &Caller, journal: &Journal) {
        let types: Vec<_> = Event::TYPES.iter().filter(|kind| !kind.contains("subscription-")).collect();
        let mut subscriptions = Vec::new();
        for number in 0..self.all.len() {
            let wanted =
                json!({"protocol": "HTTP", "sink": self.url(number), "types": types, "config": {"subscriptionDetail": {}}});
            // An answer that is lost must not make two of one.
            let key = format!("observer-{number}");
            let (status, made) = caller.ask(Method::POST, "/v1/subscriptions", &[("idempotency-key", &key)], Some(&wanted)).await;
            assert_eq!(status, 201, "{made}");
            subscriptions.push(made["id"].as_str().unwrap().to_owned());
        }
        let mut after = 0;
        eventually("the subscriptions begin", async || {
            let (_, page) = caller.get("/v1/events?perPage=100&types=dmwsi.v1.subscription-started").await;
            let told: Vec<Told> = page["items"].as_array().unwrap().iter().map(Told::of).collect();
            after = told.iter().map(|told| told.number).max().unwrap_or_default();
            told.len() == subscriptions.len()
        })
        .await;
        for subscription in subscriptions {
            journal.write(What::Subscribed { subscription, after });
        }
    }
}

/// Writes down what came, and decides what becomes of it.
fn hear(came: &Came, journal: &Journal, failures: u64, dice: &mut Dice) -> Reply {
    let event = came.event();
    let subscription = event["data"]["subscriptionId"].as_str().unwrap().to_owned();
    let fails = dice.percent(failures);
    // One that is taken too late for the server to hear of it is taken all the same.
    let reply = match (fails, dice.below(20)) {
        (false, 0) if failures > 0 => Reply::Slowly(Duration::from_millis(900)),
        (false, 1..=3) if failures > 0 => Reply::Slowly(Duration::from_millis(60)),
        (false, _) => taken(),
        (true, 0) => Reply::Never,
        (true, 1..=5) => says("503 Service Unavailable"),
        (true, _) => says("500 Oops"),
    };
    journal.write(What::Came { subscription, told: Told::of(&event), is_taken: !fails });
    reply
}

/// Reads the log for ever, each page from where the one before ended; the answers wait for events, or the reader `is_hasty`.
pub(crate) async fn follow(caller: Arc<Caller>, journal: Arc<Journal>, is_hasty: bool) {
    let (wait, pause) = if is_hasty { (0, Duration::from_millis(20)) } else { (1, Duration::ZERO) };
    let mut cursor = String::new();
    loop {
        tokio::time::sleep(pause).await;
        let (status, page) = caller.get(&format!("/v1/events?perPage=100&wait={wait}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        items(&page).iter().for_each(|event| journal.write(What::Read(Told::of(event))));
        cursor = format!("&cursor={}", page["nextCursor"].as_str().unwrap());
    }
}

/// Reads the log once more after that number.
pub(crate) async fn reread(caller: &Caller, journal: &Journal, after: u64) {
    let mut cursor = format!("&after={after}");
    loop {
        let (status, page) = caller.get(&format!("/v1/events?perPage=100{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        for told in items(&page).iter().map(Told::of) {
            journal.write(What::Reread { number: told.number, id: told.id });
        }
        if page["hasMore"] == false {
            return;
        }
        cursor = format!("&cursor={}", page["nextCursor"].as_str().unwrap());
    }
}

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().unwrap()
}
