//! Rules about the crates and who may depend on whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::Violation;
use crate::workspace;

/// Which of our crates each of our crates may depend on. Tests may depend on more.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("ottla-protocol", &[]),
    ("ottla-codecs", &["ottla-protocol"]),
    ("ottla-core", &["ottla-protocol"]),
    ("ottla-fork", &[]),
    ("ottla-sasl", &[]),
    ("ottla-gssapi", &[]),
    ("ottla-broker", &["ottla-protocol", "ottla-codecs"]),
    (
        "ottla",
        &[
            "ottla-protocol",
            "ottla-codecs",
            "ottla-core",
            "ottla-fork",
            "ottla-gssapi",
            "ottla-sasl",
        ],
    ),
    ("ottla-cli", &["ottla", "ottla-broker"]),
    ("ottla-python", &["ottla", "ottla-broker", "ottla-fork"]),
    // Each target has to do with one of them.
    ("ottla-sim", &["ottla-protocol", "ottla-core"]),
    (
        "ottla-fuzz",
        &[
            "ottla-protocol",
            "ottla-codecs",
            "ottla-core",
            "ottla-broker",
            "ottla-sasl",
            "ottla-sim",
        ],
    ),
    ("ottla-tests", &["ottla", "ottla-broker", "ottla-protocol", "ottla-codecs"]),
    // It writes code of the others, so it must build when they do not.
    ("xtask", &[]),
];

/// Not even tests may join these pairs: each is the other's independent witness.
const STRANGERS: [[&str; 2]; 2] = [["ottla-core", "ottla-broker"], ["ottla-sasl", "ottla-broker"]];

/// Crates that decide and do nothing else,
const PURE: [&str; 3] = ["ottla-protocol", "ottla-core", "ottla-sasl"];
/// and what therefore may not be anywhere below them: sockets, clocks, threads, chance, locks.
const IMPURE: [&str; 14] = [
    "async-std",
    "chrono",
    "crossbeam-channel",
    "fastrand",
    "getrandom",
    "jiff",
    "mio",
    "parking_lot",
    "rand",
    "rayon",
    "rustix",
    "smol",
    "socket2",
    "tokio",
];

/// What cargo knows about the workspace.
struct Workspace {
    packages: BTreeMap<String, Package>,
    members: BTreeSet<String>,
}

struct Package {
    name: String,
    /// The folder in the tree, empty for crates of others.
    folder: String,
    manifest: String,
    license: String,
    rust_version: String,
    /// Names of direct dependencies, and whether they are for tests only.
    direct: Vec<(String, bool)>,
    /// Ids of what is linked in, whatever the target and features.
    linked: Vec<String>,
}

/// Checks all crates of the workspace.
pub(crate) fn check(root: &Path) -> Result<Vec<Violation>, String> {
    let workspace = Workspace::read(root)?;
    let mut violations = Vec::new();
    for id in &workspace.members {
        let package = &workspace.packages[id];
        violations.extend(check_directions(package));
        violations.extend(workspace.check_purity(id));
        violations.extend(check_manifest(package));
        violations.extend(check_library(root, package));
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        if !root.join(licence).is_file() {
            violations.push(Violation::new(licence, 0, "licence", "the file is missing"));
        }
    }
    Ok(violations)
}

impl Workspace {
    fn read(root: &Path) -> Result<Self, String> {
        Self::from_metadata(root, &workspace::metadata(root)?)
    }

    fn from_metadata(root: &Path, metadata: &Value) -> Result<Self, String> {
        let members: BTreeSet<String> = list(&metadata["workspace_members"]).map(text).collect();
        let mut packages = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let id = text(&package["id"]);
            let folder = folder_of(root, package).filter(|_| members.contains(&id));
            let manifest = match &folder {
                Some(folder) => {
                    let path = root.join(folder).join("Cargo.toml");
                    std::fs::read_to_string(&path)
                        .map_err(|error| format!("{}: {error}", path.display()))?
                }
                None => String::new(),
            };
            let direct = list(&package["dependencies"])
                .map(|it| (text(&it["name"]), text(&it["kind"]) == "dev"))
                .collect();
            let package = Package {
                name: text(&package["name"]),
                folder: folder.unwrap_or_default(),
                manifest,
                license: text(&package["license"]),
                rust_version: text(&package["rust_version"]),
                direct,
                linked: Vec::new(),
            };
            packages.insert(id, package);
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            if let Some(package) = packages.get_mut(&text(&node["id"])) {
                package.linked = list(&node["deps"])
                    .filter(|it| is_linked(it))
                    .map(|it| text(&it["pkg"]))
                    .collect();
            }
        }
        Ok(Self { packages, members })
    }

    /// Looks for impure crates anywhere below a pure one.
    fn check_purity(&self, id: &str) -> Vec<Violation> {
        let package = &self.packages[id];
        if !PURE.contains(&&package.name[..]) {
            return Vec::new();
        }
        let mut violations = Vec::new();
        let mut seen = BTreeSet::new();
        let mut paths = vec![(id.to_owned(), package.name.clone())];
        while let Some((id, path)) = paths.pop() {
            for below in &self.packages[&id].linked {
                if !seen.insert(below.clone()) {
                    continue;
                }
                let name = &self.packages[below].name;
                let path = format!("{path} → {name}");
                if IMPURE.contains(&&name[..]) {
                    let told = format!("{path}: {} does no input or output", package.name);
                    violations.push(package.violation(name, "crate-direction", told));
                }
                paths.push((below.clone(), path));
            }
        }
        violations
    }
}

impl Package {
    /// A violation at the line of the manifest that begins with `word`.
    fn violation(&self, word: &str, what: &str, told: impl Into<String>) -> Violation {
        let found = self.manifest.lines().position(|line| line.starts_with(word));
        let path = format!("{}/Cargo.toml", self.folder);
        Violation::new(&path, found.map_or(1, |index| index + 1), what, told)
    }
}

fn check_directions(package: &Package) -> Vec<Violation> {
    let name = &package.name[..];
    let Some((_, allowed)) = ALLOWED.iter().find(|(of, _)| *of == name) else {
        let told = format!("what {name} may depend on is not said in xtask/src/tidy/crates.rs");
        return vec![package.violation("name", "crate-direction", told)];
    };
    let mut violations = Vec::new();
    for (below, test_only) in &package.direct {
        let ours = ALLOWED.iter().any(|(of, _)| of == below);
        let strangers =
            STRANGERS.iter().any(|pair| pair.contains(&name) && pair.contains(&&below[..]));
        if strangers && below != name {
            let told = format!("{name} and {below} must not know each other, not even in tests");
            violations.push(package.violation(below, "crate-direction", told));
        } else if ours && !test_only && !allowed.contains(&&below[..]) {
            let told = format!("{name} must not depend on {below}");
            violations.push(package.violation(below, "crate-direction", told));
        }
    }
    violations
}

fn check_manifest(package: &Package) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut lines = package.manifest.lines().skip_while(|line| line.trim() != "[lints]").skip(1);
    if lines.next().map(str::trim) != Some("workspace = true") {
        let told = "[lints] workspace = true is missing";
        violations.push(package.violation("[lints]", "manifest", told));
    }
    for (key, value, right) in [
        ("license", &package.license, "MIT OR Apache-2.0"),
        ("rust-version", &package.rust_version, "1.88"),
    ] {
        if value != right {
            let told = format!("{key} is `{value}` and not the workspace's `{right}`");
            violations.push(package.violation(key, "manifest", told));
        }
    }
    violations
}

/// Checks the attributes at the head of a library.
fn check_library(root: &Path, package: &Package) -> Vec<Violation> {
    let path = format!("{}/src/lib.rs", package.folder);
    let Ok(text) = std::fs::read_to_string(root.join(&path)) else { return Vec::new() };
    let mut wanted = Vec::new();
    if package.folder.starts_with("crates/") {
        wanted.push(("#![warn(missing_docs)]", "a library says what each of its items is for"));
    }
    if PURE.contains(&&package.name[..]) {
        wanted.push(("#![no_std]", "a crate without input and output needs no standard library"));
        wanted.push(("#![forbid(unsafe_code)]", "nothing here needs unsafe code"));
    }
    wanted
        .into_iter()
        .filter(|(attribute, _)| !text.lines().any(|line| line.trim() == *attribute))
        .map(|(attribute, why)| {
            Violation::new(&path, 1, "attribute", format!("{attribute} is missing: {why}"))
        })
        .collect()
}

/// Whether a dependency in the graph is linked in, and not for building or testing only.
fn is_linked(dependency: &Value) -> bool {
    list(&dependency["dep_kinds"]).any(|it| it["kind"].is_null())
}

fn folder_of(root: &Path, package: &Value) -> Option<String> {
    let manifest = text(&package["manifest_path"]);
    let folder = Path::new(&manifest).parent()?.strip_prefix(root).ok()?;
    Some(folder.display().to_string())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, direct: &[(&str, bool)]) -> Package {
        Package {
            name: name.to_owned(),
            folder: "crates/x".to_owned(),
            manifest: "[package]\nname = \"x\"\n[dependencies]\nottla-core.workspace = true\n\
                       tokio = \"1\"\n[lints]\nworkspace = true\n"
                .to_owned(),
            license: "MIT OR Apache-2.0".to_owned(),
            rust_version: "1.88".to_owned(),
            direct: direct.iter().map(|(name, dev)| ((*name).to_owned(), *dev)).collect(),
            linked: direct.iter().filter(|(_, dev)| !dev).map(|(it, _)| (*it).to_owned()).collect(),
        }
    }

    #[test]
    fn the_broker_may_not_know_the_core_even_in_tests() {
        let allowed = package("ottla-broker", &[("ottla-protocol", false), ("tokio", false)]);
        assert!(check_directions(&allowed).is_empty());
        for test_only in [false, true] {
            let broken = check_directions(&package("ottla-broker", &[("ottla-core", test_only)]));
            assert_eq!(broken.len(), 1);
            assert_eq!((broken[0].line, &broken[0].what[..]), (4, "crate-direction"));
        }
    }

    #[test]
    fn dependencies_point_one_way_except_in_tests() {
        assert_eq!(check_directions(&package("ottla-protocol", &[("ottla", false)])).len(), 1);
        assert_eq!(check_directions(&package("ottla", &[("ottla-broker", false)])).len(), 1);
        assert!(check_directions(&package("ottla", &[("ottla-broker", true)])).is_empty());
        assert_eq!(check_directions(&package("a-new-crate", &[])).len(), 1);
    }

    #[test]
    fn a_clock_or_socket_anywhere_below_the_core_is_found() {
        let packages = [
            ("core", package("ottla-core", &[("middle", false), ("helper", true)])),
            ("middle", package("middle", &[("tokio", false)])),
            ("tokio", package("tokio", &[])),
            ("helper", package("rand", &[])),
        ];
        let packages = packages.into_iter().map(|(id, package)| (id.to_owned(), package)).collect();
        let workspace = Workspace { packages, members: BTreeSet::from(["core".to_owned()]) };
        let broken = workspace.check_purity("core");
        assert_eq!(broken.len(), 1);
        assert!(broken[0].told.starts_with("ottla-core → middle → tokio"));
    }

    #[test]
    fn a_manifest_takes_lints_licence_and_compiler_from_the_workspace() {
        assert!(check_manifest(&package("ottla", &[])).is_empty());
        let mut other = package("ottla", &[]);
        other.manifest = other.manifest.replace("[lints]\nworkspace = true", "");
        other.license = "GPL-3.0".to_owned();
        other.rust_version = "1.90".to_owned();
        assert_eq!(check_manifest(&other).len(), 3);
    }
}
