//! `.github/SECURITY.md`: what it promises is held by tests that are there.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust source below a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, into);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(entry).unwrap());
        }
    }
}

#[test]
fn each_promise_names_a_test_that_is_there() {
    let text = std::fs::read_to_string(root().join(".github/SECURITY.md")).unwrap();
    let promises = text.split("## What is promised").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut code = String::new();
    ["shared", "functions", "infra"].iter().for_each(|folder| sources(&root().join(folder), &mut code));
    let rows: Vec<_> = promises.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let names: Vec<_> = row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            let test = code.split(&format!("fn {name}(")).next().filter(|before| before.len() < code.len());
            let attribute =
                test.and_then(|before| before.trim_end().trim_end_matches("async").trim_end().lines().last());
            assert!(
                attribute.is_some_and(|line| line.trim().starts_with("#[") && line.contains("test]")),
                "{name} is no test"
            );
        }
    }
}
