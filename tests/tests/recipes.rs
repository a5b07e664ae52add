//! Settings that stand in documents are settings that work.

use ottla::config::ConfigBuilder;

const PAGE: &str = include_str!("../../docs/connecting.md");

/// The blocks of settings, each with the heading above it.
fn recipes() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let mut recipes = Vec::new();
    let mut heading = "";
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text;
        } else if line == "```properties" {
            let block = lines.by_ref().take_while(|line| *line != "```");
            let pairs = block.map(|line| line.split_once('=').expect("key=value"));
            recipes.push((heading, pairs.collect()));
        }
    }
    recipes
}

/// Laws: none. Scenarios: S14.
#[test]
fn every_recipe_of_the_page_about_connecting_is_taken_as_it_stands() {
    let recipes = recipes();
    assert!(recipes.len() >= 13, "{}", recipes.len());
    for (heading, settings) in recipes {
        let mut builder = ConfigBuilder::default();
        for (key, value) in &settings {
            builder.set(key, value).unwrap_or_else(|error| panic!("{heading}: {error}"));
        }
        let config = builder.build().unwrap_or_else(|error| panic!("{heading}: {error}"));
        assert!(builder.ignored().is_empty(), "{heading}: {:?}", builder.ignored());
        assert_eq!(builder.warnings(), [], "{heading}");
        assert!(config.security.protocol.uses_tls(), "{heading} is encrypted");
        if let Some((_, user)) = settings.iter().find(|(key, _)| *key == "sasl.username") {
            assert_eq!(config.security.sasl.username.as_deref(), Some(*user), "{heading}");
        }
    }
}

/// Where tests are.
const FOLDERS: [&str; 3] = ["crates", "tests", "xtask"];

fn sources(folder: &std::path::Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|it| it == "rs" || it == "py") {
            all.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = String::new();
    FOLDERS.iter().for_each(|folder| sources(&root.join(folder), &mut all));
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).expect("the page");
    let names = page.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2);
    let missing: Vec<&str> = names
        .filter(|name| {
            !all.contains(&format!("fn {name}(")) && !all.contains(&format!("def {name}("))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
