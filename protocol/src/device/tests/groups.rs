//! What a user's word does to the commands around it.
use dmwsi_objects::{Command, Prompt, Reading, StatusCode};

use super::{command, tree};
use crate::device::execution::Execution;
use crate::device::{AtomicQuirk, Nodes, Outcome, Quirks, Tree};
use crate::message::{Alert, Data, Element, Group, Item, Verb, alert as code};

/// A device whose user answers each question so.
#[derive(Clone)]
struct Asked(Tree, StatusCode);

impl Nodes for Asked {
    fn device(&self) -> Vec<Reading> {
        self.0.device()
    }

    fn execute(&mut self, command: &Command, server: &str) -> Outcome {
        self.0.execute(command, server)
    }

    fn prompt(&mut self, _prompt: &Prompt) -> (StatusCode, Vec<String>) {
        (self.1, Vec::new())
    }
}

fn question(id: &str) -> Element {
    let text = |text: &str| Item { data: Some(Data::Text(text.to_owned())), ..Item::default() };
    Element::Alert(Alert { id: id.to_owned(), code: code::CONFIRM, correlator: None, items: vec![text(""), text("?")] })
}

fn set(id: &str, node: &str) -> Element {
    command(id, Verb::Replace, node, Some("5"))
}

/// The codes that the elements get, by name.
fn codes(user: StatusCode, elements: &[Element]) -> Vec<(String, u16)> {
    done(&mut Asked(tree(), user), Quirks::default(), elements)
}

/// The same of that device.
fn done(nodes: &mut Asked, quirks: Quirks, elements: &[Element]) -> Vec<(String, u16)> {
    let mut object = None;
    let mut execution = Execution {
        nodes,
        server: "srv",
        message: 1,
        object: &mut object,
        max_object: 1_000,
        refusal: None,
        quirks,
        fits: &|_| true,
    };
    let answers: Vec<_> = elements.iter().flat_map(|element| execution.run(element)).collect();
    let code = |element: Element| match element {
        Element::Status(status) => Some((status.name, status.code.0)),
        _ => None,
    };
    answers.into_iter().filter_map(code).collect()
}

fn named(expected: &[(&str, u16)]) -> Vec<(String, u16)> {
    expected.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect()
}

/// OMA DM Protocol 1.2, 10.2
#[test]
fn a_cancel_within_an_atomic_fails_it_and_what_comes_after() {
    let members = vec![set("2", "./Vendor/Count"), question("3"), set("4", "./Vendor/Count")];
    let atomic = Element::Atomic(Group { id: "1".to_owned(), members });
    let told = codes(StatusCode::CANCELLED, &[atomic, set("5", "./Vendor/Count")]);
    let expected = [("Atomic", 507), ("Replace", 216), ("Alert", 214), ("Replace", 215), ("Replace", 215)];
    assert_eq!(told, named(&expected));
}

#[test]
fn a_cancel_is_not_forgotten_by_a_group_that_comes_after_it() {
    let failing = || vec![set("3", "./Vendor/None"), set("4", "./Vendor/Count")];
    for (group, name) in [
        (Element::Atomic(Group { id: "2".to_owned(), members: failing() }), "Atomic"),
        (Element::Sequence(Group { id: "2".to_owned(), members: failing() }), "Sequence"),
    ] {
        let told = codes(StatusCode::CANCELLED, &[question("1"), group, set("5", "./Vendor/Count")]);
        assert_eq!(told, named(&[("Alert", 214), (name, 215), ("Replace", 215), ("Replace", 215), ("Replace", 215)]));
    }
}

#[test]
fn a_cancel_within_a_sequence_goes_beyond_it_and_a_no_does_not() {
    for (user, after) in [(StatusCode::CANCELLED, 215), (StatusCode::NOT_MODIFIED, 200)] {
        let members = vec![question("2"), set("3", "./Vendor/Count")];
        let sequence = Element::Sequence(Group { id: "1".to_owned(), members });
        let told = codes(user, &[sequence, set("4", "./Vendor/Count")]);
        assert_eq!(told, named(&[("Sequence", 200), ("Alert", user.0), ("Replace", 215), ("Replace", after)]));
    }
}

#[test]
fn an_atomic_that_fails_by_itself_keeps_nothing_else_from_being_done() {
    let atomic = Element::Atomic(Group { id: "1".to_owned(), members: vec![set("2", "./Vendor/None")] });
    let told = codes(StatusCode::OK, &[atomic, set("3", "./Vendor/Count")]);
    assert_eq!(told, named(&[("Atomic", 507), ("Replace", 404), ("Replace", 200)]));
}

/// OMA DM RepPro 1.2, 6.6.2
#[test]
fn an_atomic_may_leave_behind_what_was_done_or_be_too_much_to_answer() {
    let members = vec![set("2", "./Vendor/Count"), set("3", "./Vendor/None"), set("4", "./Vendor/Count")];
    let atomic = [Element::Atomic(Group { id: "1".to_owned(), members })];
    for (atomic_quirk, expected, count) in [
        (AtomicQuirk::Proper, &[("Atomic", 507), ("Replace", 216), ("Replace", 404), ("Replace", 215)][..], "1"),
        (AtomicQuirk::Irreversible, &[("Atomic", 507), ("Replace", 516), ("Replace", 404), ("Replace", 215)], "5"),
        (AtomicQuirk::Overlong, &[("Atomic", 517)], "1"),
    ] {
        let mut nodes = Asked(tree(), StatusCode::OK);
        let told = done(&mut nodes, Quirks { atomic: atomic_quirk, ..Quirks::default() }, &atomic);
        assert_eq!((told, nodes.0.text("./Vendor/Count")), (named(expected), Some(count)), "{atomic_quirk:?}");
    }
}

#[test]
fn a_device_may_know_no_lists_no_properties_and_no_empty_values() {
    let quirks = Quirks { few_properties: true, no_acl: true, no_emptying: true, ..Quirks::default() };
    let get = |property: &str| command("1", Verb::Get, &format!("./Vendor/Count?prop={property}"), None);
    let (acl, empty) =
        (command("1", Verb::Replace, "./Vendor?prop=ACL", Some("")), command("1", Verb::Replace, "./DevInfo", None));
    for (element, code, usual) in [
        (get("Size"), 406, 200),
        (get("Title"), 406, 406),
        (get("VerNo"), 406, 200),
        (get("ACL"), 406, 200),
        (get("Format"), 200, 200),
        (acl, 406, 200),
        (empty, 500, 405),
        (set("1", "./Vendor/Count"), 200, 200),
    ] {
        let asked = std::slice::from_ref(&element);
        let code_by = |quirks| done(&mut Asked(tree(), StatusCode::OK), quirks, asked)[0].1;
        assert_eq!((code_by(quirks), code_by(Quirks::default())), (code, usual), "{element:?}");
    }
}

#[test]
fn a_device_with_few_properties_has_none_of_the_others_in_a_serialised_tree() {
    let quirks = Quirks { few_properties: true, ..Quirks::default() };
    for (asked, understood) in [
        ("./A?list=TNDS", "./A?list=TNDS-Title-TStamp-VerNo"),
        ("./A?list=TNDS-Value", "./A?list=TNDS-Value-Title-TStamp-VerNo"),
        ("./A?list=TNDS+ACL+VerNo+Value", "./A?list=TNDS+Name+ACL+Value"),
        ("./A?list=TNDS+TStamp", "./A?list=TNDS+Name"),
        ("./A%20b", "./A%20b"),
    ] {
        let item = |target: &str| Item { target: Some(target.to_owned()), ..Item::default() };
        assert_eq!(quirks.understood(&item(asked)), item(understood));
        assert_eq!(Quirks::default().understood(&item(asked)), item(asked));
    }
    let named = Quirks { encoded_names: true, ..Quirks::default() };
    assert_eq!(
        named.understood(&Item { target: Some("./A%20b".to_owned()), ..Item::default() }).target.as_deref(),
        Some("./A b")
    );
}
