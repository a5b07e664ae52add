//! `cargo xtask sbom`: what is inside the crates that are released, in CycloneDX 1.5.
//!
//! The same tree gives the same bytes: there is no time in it, no number by chance and no path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::workspace;

const USAGE: &str = "usage: cargo xtask sbom [FILE]";

/// What users get. Everything else is below these.
const RELEASED: [&str; 4] = ["ottla", "ottla-cli", "ottla-python", "ottla-broker"];

/// Writes the list into a file, or prints it.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let root = workspace::root()?;
    let lock = root.join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).map_err(|e| format!("{}: {e}", lock.display()))?;
    let list = sbom(&workspace::metadata(&root)?, &checksums(&lock))?;
    let text = serde_json::to_string_pretty(&list).map_err(|e| e.to_string())? + "\n";
    match args {
        [] => print!("{text}"),
        [file] => workspace::write(Path::new(file), text)?,
        _ => return Err(USAGE.to_owned()),
    }
    Ok(ExitCode::SUCCESS)
}

/// One package, with what it depends on by name of its own.
struct Package<'a> {
    about: &'a Value,
    purl: String,
    /// Ids of packages, and whether only the build needs them.
    below: Vec<(&'a str, bool)>,
}

fn sbom(metadata: &Value, checksums: &BTreeMap<String, String>) -> Result<Value, String> {
    let packages = packages(metadata);
    let is_released = |name: &str| RELEASED.contains(&name);
    let members: BTreeSet<&str> = texts(&metadata["workspace_members"]).collect();
    let roots: Vec<&str> = packages
        .iter()
        .filter(|(id, it)| members.contains(*id) && is_released(text(&it.about["name"])))
        .map(|(id, _)| *id)
        .collect();
    if roots.len() != RELEASED.len() {
        return Err(format!("of {RELEASED:?} some are not in the workspace"));
    }
    let linked = reach(&packages, &roots, false);
    let all = reach(&packages, &roots, true);
    let by_purl: BTreeMap<&str, &str> =
        all.iter().map(|id| (&packages[id].purl[..], *id)).collect();
    let components = by_purl.values().map(|id| {
        let scope = if linked.contains(id) { "required" } else { "excluded" };
        component(&packages[id], scope, checksums)
    });
    let version = text(&packages[roots[0]].about["version"]);
    let product = format!("ottla@{version}");
    let top: BTreeSet<&str> = roots.iter().map(|id| &packages[id].purl[..]).collect();
    let mut dependencies = vec![json!({ "ref": product, "dependsOn": top })];
    dependencies.extend(by_purl.iter().map(|(purl, id)| {
        let below: BTreeSet<&str> =
            packages[id].below.iter().map(|(id, _)| &packages[id].purl[..]).collect();
        json!({ "ref": purl, "dependsOn": below })
    }));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "bom-ref": product, "name": "ottla", "version": version,
        } },
        "components": components.collect::<Vec<_>>(),
        "dependencies": dependencies,
    }))
}

fn packages(metadata: &Value) -> BTreeMap<&str, Package<'_>> {
    let mut packages = BTreeMap::new();
    for about in list(&metadata["packages"]) {
        let purl = format!("pkg:cargo/{}@{}", text(&about["name"]), text(&about["version"]));
        packages.insert(text(&about["id"]), Package { about, purl, below: Vec::new() });
    }
    for node in list(&metadata["resolve"]["nodes"]) {
        let Some(package) = packages.get_mut(text(&node["id"])) else { continue };
        for below in list(&node["deps"]) {
            let kinds: Vec<&Value> = list(&below["dep_kinds"]).map(|it| &it["kind"]).collect();
            if kinds.iter().any(|kind| **kind != "dev") {
                let for_build = !kinds.iter().any(|kind| kind.is_null());
                package.below.push((text(&below["pkg"]), for_build));
            }
        }
    }
    packages
}

/// What is at or below `roots`; with `and_build`, also what is only needed to build that.
fn reach<'a>(
    packages: &BTreeMap<&'a str, Package<'a>>,
    roots: &[&'a str],
    and_build: bool,
) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut next = roots.to_vec();
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            let below = packages[id].below.iter().filter(|(_, for_build)| and_build || !for_build);
            next.extend(below.map(|(id, _)| *id));
        }
    }
    seen
}

fn component(package: &Package<'_>, scope: &str, checksums: &BTreeMap<String, String>) -> Value {
    let about = package.about;
    let mut component = json!({
        "type": "library",
        "bom-ref": package.purl,
        "name": about["name"],
        "version": about["version"],
        "scope": scope,
        "licenses": licences(about),
        "purl": package.purl,
    });
    if let Some(checksum) = checksums.get(&package.purl) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(repository) = about["repository"].as_str() {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// Older crates write `MIT/Apache-2.0` for `MIT OR Apache-2.0`.
fn licences(about: &Value) -> Value {
    match (about["license"].as_str(), about["license_file"].as_str()) {
        (Some(licence), _) => json!([{ "expression": licence.replace('/', " OR ") }]),
        (None, Some(_)) => json!([{ "license": { "name": "a licence file of its own" } }]),
        (None, None) => json!([]),
    }
}

/// The checksums of a lock file, by the names that crates have here.
fn checksums(lock: &str) -> BTreeMap<String, String> {
    let mut checksums = BTreeMap::new();
    for block in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name))?;
            line.strip_prefix(" = \"")?.strip_suffix('"')
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (field("name"), field("version"), field("checksum"))
        {
            checksums.insert(format!("pkg:cargo/{name}@{version}"), checksum.to_owned());
        }
    }
    checksums
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    list(value).map(text)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The released crates, of which `ottla` has the given dependencies, as cargo tells it.
    fn metadata(below_ottla: &Value) -> Value {
        let package = |name: &str, licence: &str| {
            let id = format!("path+file:///home/somebody/{name}");
            json!({ "id": id, "name": name, "version": "0.1.0", "license": licence })
        };
        let mut packages: Vec<Value> = RELEASED.map(|name| package(name, "MIT")).to_vec();
        packages.extend(["linked", "builder", "tester"].map(|it| package(it, "MIT/Apache-2.0")));
        let id = |name: &str| format!("path+file:///home/somebody/{name}");
        let nodes: Vec<Value> = RELEASED
            .iter()
            .map(|name| match *name {
                "ottla" => json!({ "id": id(name), "deps": below_ottla }),
                _ => json!({ "id": id(name), "deps": [
                    { "pkg": id("ottla"), "dep_kinds": [{ "kind": null }] },
                ] }),
            })
            .collect();
        json!({
            "packages": packages,
            "workspace_members": RELEASED.map(id),
            "resolve": { "nodes": nodes },
        })
    }

    fn below(names: &[(&str, Value)]) -> Value {
        let id = |name: &str| format!("path+file:///home/somebody/{name}");
        let below = names.iter();
        below.map(|(name, kinds)| json!({ "pkg": id(name), "dep_kinds": kinds })).collect()
    }

    fn example() -> Value {
        let checksums = checksums(
            "version = 4\n\n[[package]]\nname = \"linked\"\nversion = \"0.1.0\"\nsource = \"r\"\n\
             checksum = \"abc\"\n\n[[package]]\nname = \"ottla\"\nversion = \"0.1.0\"\n",
        );
        let below = below(&[
            ("linked", json!([{ "kind": "dev" }, { "kind": null }])),
            ("builder", json!([{ "kind": "build" }])),
            ("tester", json!([{ "kind": "dev" }])),
        ]);
        sbom(&metadata(&below), &checksums).expect("a list")
    }

    #[test]
    fn what_is_linked_is_required_and_what_only_builds_or_tests_is_not() {
        let list = example();
        let scopes: Vec<(&str, &str)> = super::list(&list["components"])
            .map(|it| (text(&it["name"]), text(&it["scope"])))
            .collect();
        let required = |name| (name, "required");
        assert_eq!(
            scopes,
            [
                ("builder", "excluded"),
                required("linked"),
                required("ottla-broker"),
                required("ottla-cli"),
                required("ottla-python"),
                required("ottla"),
            ]
        );
    }

    #[test]
    fn each_component_has_purl_licence_and_checksum_and_no_path_of_a_machine() {
        let list = example();
        let linked = super::list(&list["components"]).find(|it| it["name"] == "linked");
        let expected = json!({
            "type": "library",
            "bom-ref": "pkg:cargo/linked@0.1.0",
            "name": "linked",
            "version": "0.1.0",
            "scope": "required",
            "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            "purl": "pkg:cargo/linked@0.1.0",
            "hashes": [{ "alg": "SHA-256", "content": "abc" }],
        });
        assert_eq!(linked, Some(&expected));
        assert!(!list.to_string().contains("somebody"));
    }

    #[test]
    fn the_graph_begins_at_the_product_and_names_only_components() {
        let list = example();
        let known: BTreeSet<&str> =
            super::list(&list["components"]).map(|it| text(&it["bom-ref"])).collect();
        let graph = &list["dependencies"];
        assert_eq!(graph[0]["ref"], list["metadata"]["component"]["bom-ref"]);
        assert_eq!(super::list(&graph[0]["dependsOn"]).count(), RELEASED.len());
        for node in super::list(graph) {
            assert!(texts(&node["dependsOn"]).all(|it| known.contains(it)), "{node}");
        }
        assert_eq!(super::list(graph).count(), known.len() + 1);
    }

    #[test]
    fn a_crate_that_is_not_there_is_missed() {
        let mut metadata = metadata(&json!([]));
        metadata["packages"].as_array_mut().expect("packages").remove(0);
        assert!(sbom(&metadata, &BTreeMap::new()).is_err());
    }
}
