//! Commands on a tree, and the codes they get.
use dmwsi_objects::{Command, Format, StatusCode, Value};

use super::{tree, uri};
use crate::device::{Nodes as _, Outcome, Tree};

fn get(tree: &mut Tree, target: &str) -> (u16, String) {
    let Outcome { status, readings } = tree.execute(&Command::Get { target: uri(target) }, "srv");
    (status.0, readings.into_iter().next().map(|reading| reading.value.data).unwrap_or_default())
}

fn add(tree: &mut Tree, target: &str, value: Value) -> u16 {
    tree.execute(&Command::Add { target: uri(target), value }, "srv").status.0
}

fn replace(tree: &mut Tree, target: &str, value: Value) -> u16 {
    tree.execute(&Command::Replace { target: uri(target), value }, "srv").status.0
}

fn delete(tree: &mut Tree, target: &str) -> u16 {
    tree.execute(&Command::Delete { target: uri(target) }, "srv").status.0
}

#[test]
fn a_get_brings_a_value_or_children_or_what_is_asked() {
    let tree = &mut tree();
    assert_eq!(get(tree, "./DevDetail/FwV"), (200, "1.0".to_owned()));
    assert_eq!(get(tree, "./DevInfo"), (200, "DevId/Man".to_owned()));
    assert_eq!(get(tree, "."), (200, "DMAcc/DevDetail/DevInfo/Go/Vendor".to_owned()));
    assert_eq!(get(tree, "./Vendor/Count?prop=Format"), (200, "int".to_owned()));
    assert_eq!(get(tree, "./Vendor?prop=Format"), (200, "node".to_owned()));
    assert_eq!(get(tree, "./Vendor/Count?prop=Name"), (200, "Count".to_owned()));
    assert_eq!(get(tree, "./Vendor/Count?prop=Type"), (200, "text/plain".to_owned()));
    assert_eq!(get(tree, "./Vendor/Count?prop=ACL"), (200, String::new()));
    assert_eq!(get(tree, ".?prop=ACL"), (200, "Add=*&Delete=*&Exec=*&Get=*&Replace=*".to_owned()));
    assert_eq!(get(tree, "./Vendor/Count?prop=VerNo").0, 406);
    assert_eq!(get(tree, "./Vendor?list=Tree").0, 406);
    assert_eq!(get(tree, "./Nothing").0, 404);
    assert_eq!(get(tree, "./DMAcc/A/Secret").0, 405);
}

#[test]
fn an_add_makes_missing_parents_but_never_twice_and_never_where_it_may_not() {
    let tree = &mut tree();
    assert_eq!(add(tree, "./Vendor/Deep/Er/Leaf", Value::text("x")), 200);
    assert_eq!(get(tree, "./Vendor/Deep"), (200, "Er".to_owned()));
    assert_eq!(add(tree, "./Vendor/Deep/Er/Leaf", Value::text("x")), 418);
    assert_eq!(add(tree, "./DevInfo/New", Value::text("x")), 405);
    assert_eq!(add(tree, "./Vendor/Deep/Er/Leaf/Below", Value::text("x")), 405);
    assert_eq!(add(tree, "./Vendor/Number", Value { format: Format::Int, media_type: None, data: "many".to_owned() }), 415);
    assert_eq!(delete(tree, "./Vendor/Deep"), 200);
    assert_eq!(get(tree, "./Vendor/Deep/Er/Leaf").0, 404);
    assert_eq!(delete(tree, "./DevInfo/Man"), 405);
    assert_eq!(delete(tree, "."), 405);
}

#[test]
fn a_replace_keeps_the_format_of_the_node() {
    let tree = &mut tree();
    assert_eq!(replace(tree, "./Vendor/Count", Value::int(2)), 200);
    assert_eq!(replace(tree, "./Vendor/Count", Value::text("3")), 200);
    assert_eq!(replace(tree, "./Vendor/Count", Value::text("three")), 415);
    assert_eq!(replace(tree, "./Vendor/Count", Value { format: Format::Bool, ..Value::text("true") }), 415);
    assert_eq!(get(tree, "./Vendor/Count"), (200, "3".to_owned()));
    assert_eq!(replace(tree, "./DevDetail/FwV", Value::text("9")), 405);
    assert_eq!(replace(tree, "./Vendor/None", Value::text("9")), 404);
}

#[test]
fn a_list_shuts_out_whom_it_does_not_name() {
    let tree = &mut tree();
    assert_eq!(replace(tree, "./Vendor?prop=ACL", Value::text("Get=*&Replace=other")), 200);
    assert_eq!(replace(tree, "./Vendor/Count", Value::int(2)), 425);
    assert_eq!(add(tree, "./Vendor/New", Value::int(2)), 425);
    assert_eq!(get(tree, "./Vendor/Count").0, 200);
    assert_eq!(replace(tree, ".?prop=ACL", Value::text("nonsense")), 400);
}

#[test]
fn only_dynamic_nodes_are_renamed() {
    let tree = &mut tree();
    assert_eq!(add(tree, "./Vendor/Old/Leaf", Value::text("x")), 200);
    assert_eq!(replace(tree, "./Vendor/Old?prop=Name", Value::text("New")), 200);
    assert_eq!(get(tree, "./Vendor/New/Leaf"), (200, "x".to_owned()));
    assert_eq!(replace(tree, "./Vendor/New?prop=Name", Value::text("Count")), 418);
    assert_eq!(replace(tree, "./Vendor/Count?prop=Name", Value::text("Other")), 405);
}

#[test]
fn an_exec_needs_a_node_that_can_be_started() {
    let tree = &mut tree();
    let mut exec = |target: &str| {
        let command = Command::Exec { target: uri(target), correlator: None, value: None };
        tree.execute(&command, "srv").status
    };
    assert_eq!(exec("./Vendor"), StatusCode::NOT_ALLOWED);
    assert_eq!(exec("./Nothing"), StatusCode::NOT_FOUND);
    assert_eq!(exec("./Go"), StatusCode::NOT_SUPPORTED);
}
