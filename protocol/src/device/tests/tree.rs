//! Commands on a tree, and the codes they get.
use dmwsi_objects::{Command, Format, StatusCode, Value};

use super::{tree, uri};
use crate::device::{Access, Nodes as _, Outcome, Tree};

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
    assert_eq!(get(tree, "./Vendor?list=Tree").0, 406);
    assert_eq!(get(tree, "./Vendor?prop=Colour").0, 406);
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
fn sizes_titles_and_changes_are_told_where_they_are_known() {
    let tree = &mut tree();
    assert_eq!(get(tree, "./DevDetail/FwV?prop=Size"), (200, "3".to_owned()));
    tree.put(&uri("./Octets"), Value { format: Format::Bin, ..Value::text("AP8=") }, Access::GET);
    assert_eq!(get(tree, "./Octets?prop=Size"), (200, "2".to_owned()), "not of their base64");
    assert_eq!(get(tree, "./Vendor?prop=Size").0, 406, "an interior node has none");
    assert_eq!(get(tree, "./Vendor/Count?prop=Title").0, 406);
    assert_eq!(replace(tree, "./Vendor/Count?prop=Title", Value::text("How many")), 200);
    assert_eq!(get(tree, "./Vendor/Count?prop=Title"), (200, "How many".to_owned()));
    assert_eq!(replace(tree, "./Vendor/Count?prop=Title", Value::text("x".repeat(256))), 413);
    assert_eq!(replace(tree, "./DevDetail/FwV?prop=Title", Value::text("x")), 405);
    assert_eq!(get(tree, "./Vendor/Count?prop=TStamp").0, 406, "nobody has told the time");
    let before = get(tree, "./Vendor?prop=VerNo");
    tree.tell_time("20261122T120000Z");
    assert_eq!(replace(tree, "./Vendor/Count", Value::int(2)), 200);
    assert_eq!(get(tree, "./Vendor/Count?prop=TStamp"), (200, "20261122T120000Z".to_owned()));
    assert_eq!(get(tree, "./Vendor/Count?prop=VerNo"), (200, "2".to_owned()), "the title and the value");
    assert_eq!(get(tree, "./Vendor?prop=VerNo"), before, "it has the same children");
    assert_eq!(add(tree, "./Vendor/New", Value::text("x")), 200);
    assert_eq!((before.1.as_str(), get(tree, "./Vendor?prop=VerNo").1.as_str()), ("0", "1"));
    for property in ["Format", "Size", "TStamp", "Type", "VerNo"] {
        assert_eq!(replace(tree, &format!("./Vendor/Count?prop={property}"), Value::text("1")), 405, "{property}");
    }
}

/// OMA DM TND 1.2, 9.1: those that are named, all but those that are named, or all.
#[test]
fn a_serialised_tree_has_what_is_asked_of_each_node() {
    let tree = &mut tree();
    tree.tell_time("20261122T120000Z");
    assert_eq!(replace(tree, "./Vendor/Count?prop=ACL", Value::text("Get=*&Replace=srv")), 200);
    let (acl, format, kind) = ("<ACL>", "<Format>", "<Type>");
    let (value, stamp, number) = ("<Value>1</Value>", "<TStamp>20261122T120000Z</TStamp>", "<VerNo>1</VerNo>");
    let all = [acl, format, kind, value, stamp, number];
    for (question, expected) in [
        ("list=TNDS", &all[..]),
        ("list=TNDS+ACL+Value", &[acl, value]),
        ("list=TNDS+Format+Type+Value", &[format, kind, value]),
        ("list=TNDS+Name", &[]),
        ("list=TNDS+VerNo+TStamp", &[stamp, number]),
        ("list=TNDS-Value-ACL", &[format, kind, stamp, number]),
    ] {
        let (code, document) = get(tree, &format!("./Vendor/Count?{question}"));
        let found: Vec<_> = all.into_iter().filter(|part| document.contains(part)).collect();
        assert_eq!((code, found.as_slice()), (200, expected), "{question} {document}");
        assert!(document.contains("<NodeName>Count</NodeName>"), "{document}");
    }
    assert!(!get(tree, "./DevDetail?list=TNDS").1.contains("VerNo"), "nothing there was ever changed");
    assert!(get(tree, "./DevDetail?list=TNDS+VerNo").1.contains("<VerNo>0</VerNo>"));
    for question in ["list=TNDS+Colour", "list=TNDS+ACL-Value", "list=TNDSACL", "list=TNDS+"] {
        assert_eq!(get(tree, &format!("./Vendor?{question}")).0, 406, "{question}");
    }
}

/// OMA DM TND 1.2, 7.7.1: who may add to a node but not replace it keeps hold of the interior nodes that it adds there, and of no leaf.
#[test]
fn whoever_adds_where_it_may_not_replace_owns_the_interior_nodes_that_it_adds() {
    let tree = &mut tree();
    assert_eq!(replace(tree, "./Vendor?prop=ACL", Value::text("Add=srv&Get=*&Delete=other&Replace=other")), 200);
    let own = "Add=srv&Delete=srv&Get=srv&Replace=srv".to_owned();
    assert_eq!(add(tree, "./Vendor/Interior", Value::node(&[])), 200);
    assert_eq!(get(tree, "./Vendor/Interior?prop=ACL"), (200, own.clone()));
    assert_eq!(add(tree, "./Vendor/Leaf", Value::text("x")), 200);
    assert_eq!(get(tree, "./Vendor/Leaf?prop=ACL"), (200, String::new()));
    assert_eq!((replace(tree, "./Vendor/Leaf", Value::text("y")), delete(tree, "./Vendor/Leaf")), (425, 425));
    assert_eq!(replace(tree, "./Vendor/Leaf?prop=ACL", Value::text("Replace=srv")), 425);
    assert_eq!(add(tree, "./Vendor/Deep/Er/Leaf", Value::text("x")), 200);
    assert_eq!(get(tree, "./Vendor/Deep?prop=ACL"), (200, own));
    assert_eq!(get(tree, "./Vendor/Deep/Er?prop=ACL"), (200, String::new()), "there it may replace already");
    assert_eq!(replace(tree, "./Vendor/Deep/Er/Leaf", Value::text("y")), 200);
    let other = tree.execute(&Command::Get { target: uri("./Vendor/Interior") }, "other");
    assert_eq!(other.status, StatusCode::PERMISSION_DENIED);
    assert_eq!((delete(tree, "./Vendor/Interior"), delete(tree, "./Vendor/Deep")), (200, 200));
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
