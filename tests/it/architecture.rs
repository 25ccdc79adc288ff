//! The rules of the house: who may depend on whom, and how large a file may grow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const LINES_PER_FILE: usize = 400;

/// What each package may use of the others.
const OURS: &[(&str, &[&str])] = &[
    ("binnacle-domain", &[]),
    ("binnacle-proto", &["binnacle-boot", "binnacle-domain"]),
    ("binnacle-boot", &[]),
    ("director-gateway", SERVICE),
    ("scheduler-svc", SERVICE),
    ("operations-svc", SERVICE),
    ("webhook-executor", SERVICE),
    ("binnacle-test-support", &[]),
    (
        "binnacle",
        &[
            "binnacle-boot",
            "binnacle-domain",
            "binnacle-proto",
            "director-gateway",
            "operations-svc",
            "scheduler-svc",
            "webhook-executor",
        ],
    ),
];

const SERVICE: &[&str] = &["binnacle-boot", "binnacle-domain", "binnacle-proto"];

/// Libraries that are one package's business, and whose.
const WORDS: &[(&str, &[&str])] = &[
    ("sea-orm", &["director-gateway"]),
    ("async-graphql", &["director-gateway"]),
    ("reqwest", &["webhook-executor", "binnacle"]),
    ("clap", &["binnacle"]),
    ("comfy-table", &["binnacle"]),
    ("tracing-subscriber", &["binnacle-boot"]),
    ("opentelemetry-otlp", &["binnacle-boot"]),
];

/// All that the domain may use: nothing that waits, talks or tells the time.
const DOMAIN: &[&str] = &[
    "base64",
    "chrono",
    "regex",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "thiserror",
    "url",
    "uuid",
];

struct Package {
    /// What ships.
    uses: BTreeSet<String>,
    /// What its tests use besides.
    tests_use: BTreeSet<String>,
}

fn packages() -> BTreeMap<String, Package> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| (text(&package["name"]), dependencies(package)))
        .collect()
}

fn dependencies(package: &Value) -> Package {
    let mut found = Package {
        uses: BTreeSet::new(),
        tests_use: BTreeSet::new(),
    };
    for dependency in package["dependencies"].as_array().unwrap() {
        let names = match dependency["kind"].as_str() {
            None => &mut found.uses,
            Some("dev") => &mut found.tests_use,
            Some(_) => continue,
        };
        names.insert(text(&dependency["name"]));
    }
    found
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn services_meet_in_the_contract_and_nowhere_else() {
    let packages = packages();
    let known: BTreeSet<_> = OURS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        packages.keys().cloned().collect::<BTreeSet<_>>(),
        known,
        "the table is complete"
    );
    for (name, allowed) in OURS {
        let package = &packages[*name];
        let used: BTreeSet<_> = package
            .uses
            .intersection(&known)
            .map(String::as_str)
            .collect();
        let surplus: Vec<_> = used.iter().filter(|used| !allowed.contains(used)).collect();
        assert!(surplus.is_empty(), "{name} must not depend on {surplus:?}");
        let tested: BTreeSet<_> = package.tests_use.intersection(&known).collect();
        let surplus: Vec<_> = tested
            .iter()
            .filter(|used| **used != "binnacle-test-support" && !allowed.contains(&used.as_str()))
            .collect();
        assert!(
            surplus.is_empty(),
            "the tests of {name} must not depend on {surplus:?}"
        );
    }
}

#[test]
fn the_domain_neither_waits_nor_talks_nor_tells_the_time() {
    let packages = packages();
    let surplus: Vec<_> = packages["binnacle-domain"]
        .uses
        .iter()
        .filter(|used| !DOMAIN.contains(&used.as_str()))
        .collect();
    assert!(
        surplus.is_empty(),
        "the domain must not depend on {surplus:?}"
    );
}

#[test]
fn a_library_is_the_business_of_those_who_speak_its_language() {
    for (name, package) in packages() {
        for (library, owners) in WORDS {
            let is_owner = owners.contains(&name.as_str());
            assert!(
                is_owner || !package.uses.contains(*library),
                "{name} must not use {library}"
            );
        }
    }
}

#[test]
fn no_file_grows_beyond_what_a_reader_can_hold() {
    let mut sources = Vec::new();
    for member in fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let member = member.unwrap().path();
        collect(
            &if member.ends_with("src") {
                member
            } else {
                member.join("src")
            },
            &mut sources,
        );
    }
    assert!(sources.len() > 50, "the sources were not found");
    let mut too_long = Vec::new();
    for source in sources {
        assert!(
            !source.ends_with("mod.rs"),
            "{}: name the file after its module",
            source.display()
        );
        let text = fs::read_to_string(&source).unwrap();
        let production = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        let lines = production.lines().count();
        if lines > LINES_PER_FILE {
            too_long.push(format!("{} has {lines} lines", source.display()));
        }
    }
    assert!(too_long.is_empty(), "{too_long:#?}");
}

fn collect(directory: &Path, sources: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}
