//! The checker on journals made up for it: what is well stays green, and each thing that may be wrong has its name.
use super::checker::{Checker, Kind};
use super::journal::{Journal, Told, What};

fn told(number: u64, kind: &str, job: Option<&str>, device: Option<&str>, word: &str) -> Told {
    let name = |name: Option<&str>| name.map(str::to_owned);
    Told {
        number,
        id: format!("evt_{number}"),
        kind: kind.to_owned(),
        job: name(job),
        device: name(device),
        word: word.to_owned(),
    }
}

/// A device that is registered and tells an alert, and a job on it, up to its end.
fn log() -> Vec<Told> {
    vec![
        told(1, "device-created", None, Some("d"), ""),
        told(2, "job-accepted", Some("j"), None, ""),
        told(3, "execution-started", Some("j"), Some("d"), ""),
        told(4, "device-alert", None, Some("d"), "a"),
        told(5, "execution-finished", Some("j"), Some("d"), "SUCCEEDED"),
        told(6, "job-completed", Some("j"), None, "COMPLETED"),
    ]
}

/// All that is known of it from outside.
fn lines() -> Vec<What> {
    let text = str::to_owned;
    let mut lines = vec![
        What::Subscribed { subscription: text("s"), after: 0 },
        What::Registered { device: text("d") },
        What::Accepted { job: text("j"), devices: vec![text("d")], bound: Some(text("b")), value: Some(text("v")) },
        What::Alerting { device: text("d"), alert: text("a") },
        What::Heard { device: text("d"), alert: text("a") },
        What::Carried { device: text("d"), value: text("v") },
        What::Executed { job: text("j"), device: text("d"), state: text("SUCCEEDED") },
        What::Shown { job: text("j"), state: text("COMPLETED"), is_over: true },
    ];
    let came = |subscription: &str, told: Told| What::Came { subscription: text(subscription), told, is_taken: true };
    lines.extend(log().into_iter().map(What::Read));
    lines.extend(log().into_iter().map(|told| came("s", told)));
    lines.extend(log().into_iter().filter(|told| told.job.is_some()).map(|told| came("b", told)));
    lines
}

/// What the checker says of these lines, without those that `leaves` says are left away and with what `adds`.
fn verdict(leaves: impl Fn(&What) -> bool, adds: impl IntoIterator<Item = What>) -> Vec<Kind> {
    let journal = Journal::open();
    lines().into_iter().filter(|line| !leaves(line)).chain(adds).for_each(|line| journal.write(line));
    let mut checker = Checker::default();
    checker.read(&journal);
    let mut kinds: Vec<_> = checker.wrong().into_iter().chain(checker.owed()).map(|fault| fault.kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn came(line: &What, subscription: &str, number: u64) -> bool {
    matches!(line, What::Came { subscription: at, told, .. } if at == subscription && told.number == number)
}

#[test]
fn what_is_well_is_found_well() {
    assert_eq!(verdict(|_| false, []), []);
    let again = || What::Came { subscription: "s".to_owned(), told: log().remove(0), is_taken: true };
    assert_eq!(verdict(|_| false, [again(), again()]), [], "at least once");
}

#[test]
fn what_is_lost_is_missed() {
    assert_eq!(verdict(|line| came(line, "s", 4), []), [Kind::Order, Kind::Loss], "the next was told before it");
    assert_eq!(verdict(|line| came(line, "s", 6), []), [Kind::Loss]);
    assert_eq!(verdict(|line| came(line, "b", 6), []), [Kind::Loss], "a job's own subscriber");
    assert_eq!(verdict(|_| false, [What::Registered { device: "e".to_owned() }]), [Kind::Loss]);
    assert_eq!(verdict(|_| false, [What::Heard { device: "d".to_owned(), alert: "b".to_owned() }]), [Kind::Loss]);
    let in_vain = What::Came { subscription: "s".to_owned(), told: log().remove(5), is_taken: false };
    assert_eq!(verdict(|line| came(line, "s", 6), [in_vain]), [Kind::Loss], "it was not taken");
}

#[test]
fn what_is_made_up_is_seen_through() {
    assert_eq!(verdict(|line| matches!(line, What::Registered { .. }), []), [Kind::Phantom]);
    assert_eq!(verdict(|line| matches!(line, What::Carried { .. }), []), [Kind::Phantom], "the device does not know of it");
    assert_eq!(verdict(|line| matches!(line, What::Alerting { .. }), []), [Kind::Phantom]);
    let failed = What::Executed { job: "j".to_owned(), device: "d".to_owned(), state: "FAILED".to_owned() };
    assert_eq!(verdict(|_| false, [failed]), [Kind::Phantom]);
    let beyond = What::Came { subscription: "s".to_owned(), told: told(7, "device-alert", None, Some("d"), "a"), is_taken: true };
    assert_eq!(verdict(|_| false, [beyond]), [Kind::Phantom], "the log does not know it");
}

#[test]
fn numbers_that_are_not_one_after_the_other_are_seen() {
    let read = |told| What::Read(told);
    assert_eq!(verdict(|_| false, [read(told(8, "device-updated", None, Some("d"), ""))])[0], Kind::Gap);
    assert_eq!(verdict(|_| false, [read(log().remove(5))])[0], Kind::Gap, "a second time");
    for (number, id) in [(3, "evt_9"), (9, "evt_3")] {
        let other = What::Reread { number, id: id.to_owned() };
        assert_eq!(verdict(|_| false, [other])[0], Kind::Gap, "{number} {id}");
    }
}

#[test]
fn what_does_not_end_and_what_goes_on_after_the_end_is_seen() {
    assert_eq!(verdict(|line| matches!(line, What::Shown { .. }), []), [Kind::Stuck]);
    let late = told(7, "execution-phase", Some("j"), Some("d"), "");
    let told = What::Came { subscription: "s".to_owned(), told: late.clone(), is_taken: true };
    let bound = What::Came { subscription: "b".to_owned(), told: late.clone(), is_taken: true };
    assert_eq!(verdict(|_| false, [What::Read(late), told, bound]), [Kind::Order]);
}
