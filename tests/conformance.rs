//! CONFORMANCE.md says what is so.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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
