//! CONFORMANCE.md says what is so.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The rows by which the device side is held to OMA DM 1.2.
const ROWS: &str = "S-TR-01 S-TR-02 S-TR-03 S-TR-04 S-TR-05 S-TR-06 S-MS-01 S-MS-02 S-MS-03 S-MS-04 S-MS-05 S-MS-06 S-AU-01 S-AU-02 S-AU-03 S-AU-04 S-AU-05 S-AU-06 S-AU-07 S-AU-08 S-PK-01 S-PK-02 S-PK-03 S-PK-04 S-PK-05 S-PK-06 S-CM-01 S-CM-02 S-CM-03 S-CM-04 S-CM-05 S-CM-06 S-CM-07 S-CM-08 S-CM-09 S-TR-20 S-TR-21 S-LO-01 S-LO-02 S-NT-01 S-BS-01 S-TN-01 F-01 F-02 F-03 F-04 F-05 F-06 C-01 C-02 C-03 D-01 D-02 L-01 X-01";

#[test]
fn the_tests_that_conformance_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("CONFORMANCE.md")).unwrap();
    let rows: Vec<Vec<_>> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| id"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 100, "{} rows", rows.len());
    let ids: BTreeSet<_> = rows.iter().map(|row| row[1]).collect();
    assert_eq!(ids.len(), rows.len(), "an id stands twice");
    for id in ROWS.split_whitespace() {
        assert!(ids.contains(id), "{id} is missing");
    }
    for row in &rows {
        let (id, state, tests) = (row[1], row[2], row[4]);
        let named: Vec<_> = tests.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        assert!(["met", "part", "open"].contains(&state), "{id}: {state}");
        assert_eq!(state == "open", named.is_empty(), "{id} is {state} by {named:?}");
        for name in named {
            let (file, test) = name.split_once("::").unwrap();
            let source =
                fs::read_to_string(root.join(format!("tests/{file}.rs"))).unwrap_or_else(|_| panic!("{id}: no tests/{file}.rs"));
            assert!(source.contains(&format!("fn {test}(")), "{id}: no {name}");
            let before = source.split(&format!("fn {test}(")).next().unwrap();
            let named = before.lines().rev().skip(1).take_while(|line| line.trim_start().starts_with(['/', '#']));
            assert!(named.clone().any(|line| line.contains(id)), "{name} does not name {id}");
        }
    }
}
