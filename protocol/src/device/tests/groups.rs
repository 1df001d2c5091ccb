//! What a user's word does to the commands around it.
use dmwsi_objects::{Command, Prompt, Reading, StatusCode};

use super::{command, tree};
use crate::device::execution::Execution;
use crate::device::{Nodes, Outcome, Quirks, Tree};
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
    let (mut nodes, mut object) = (Asked(tree(), user), None);
    let mut execution = Execution {
        nodes: &mut nodes,
        server: "srv",
        message: 1,
        object: &mut object,
        max_object: 1_000,
        refusal: None,
        quirks: Quirks::default(),
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
