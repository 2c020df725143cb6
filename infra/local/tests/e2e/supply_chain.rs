//! What the tree is made of, held by reading its manifests and locks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The repository's files of this name.
fn files(name: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (vec![], vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let own = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                if own != "target" && own != "node_modules" && !own.starts_with('.') {
                    folders.push(entry.path());
                }
            } else if own == name {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Name, version and source of every package in a lock.
fn locked(lock: &Path) -> BTreeSet<(String, String, Option<String>)> {
    let text = std::fs::read_to_string(lock).unwrap();
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let packages = text.split("[[package]]").skip(1);
    packages.map(|p| (value(p, "name").unwrap(), value(p, "version").unwrap(), value(p, "source"))).collect()
}

#[test]
fn none_of_our_crates_runs_anything_while_it_is_compiled() {
    assert_eq!(files("build.rs"), Vec::<PathBuf>::new());
    for manifest in files("Cargo.toml") {
        let text = std::fs::read_to_string(&manifest).unwrap();
        for forbidden in ["build = ", "[build-dependencies", "proc-macro = true"] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", manifest.display());
        }
    }
}

#[test]
fn every_crate_is_ours_or_from_the_one_registry_and_locked() {
    let locks = files("Cargo.lock");
    assert_eq!(locks.len(), 3, "{locks:?}");
    for lock in &locks {
        let packages = locked(lock);
        let sources: BTreeSet<_> = packages.iter().filter_map(|(_, _, source)| source.clone()).collect();
        assert_eq!(sources.len(), 1, "{sources:?}");
        assert!(sources.iter().all(|source| source.starts_with("registry+") && source.ends_with("crates.io-index")));
        let checksums = std::fs::read_to_string(lock).unwrap().matches("\nchecksum = ").count();
        let foreign = packages.iter().filter(|(_, _, source)| source.is_some()).count();
        assert_eq!(checksums, foreign, "{}", lock.display());
    }
}

#[test]
fn what_is_fuzzed_is_what_runs() {
    let ours = locked(&root().join("Cargo.lock"));
    let names: BTreeSet<_> = ours.iter().map(|(name, ..)| name).collect();
    for package in locked(&root().join("infra/fuzz/Cargo.lock")) {
        assert!(!names.contains(&package.0) || ours.contains(&package), "another version: {package:?}");
    }
}
