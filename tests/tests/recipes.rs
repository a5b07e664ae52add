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
