//! Settings as they are told: the value that holds, where it comes from, and what would hold
//! without it.

use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResourceResult, DescribeConfigsSynonym,
};

use crate::broker_settings::{self, BROKER_SETTINGS, BrokerSetting, Change};
use crate::client_metrics::METRICS_SETTINGS;
use crate::config::BrokerConfig;
use crate::dynamic_settings::ALL_BROKERS;
use crate::group_settings::GROUP_SETTINGS;
use crate::nodes::Nodes;
use crate::resource_settings::Owner;
use crate::topic_config::{Kind, Overrides, SETTINGS};

const SOURCE_TOPIC: i8 = 1;
const SOURCE_BROKER: i8 = 2;
const SOURCE_ALL_BROKERS: i8 = 3;
const SOURCE_STATIC_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;
const SOURCE_CLIENT_METRICS: i8 = 7;
const SOURCE_GROUP: i8 = 8;

/// A setting with its values: the one that holds, then those that would hold without it.
struct Row<'a> {
    name: &'a str,
    kind: Kind,
    read_only: bool,
    documentation: &'a str,
    values: Vec<DescribeConfigsSynonym>,
}

impl Row<'_> {
    /// As the answer has it; `default` is for settings that have their value from nowhere else.
    fn told(self, default: &str) -> DescribeConfigsResourceResult {
        let (value, source) = match self.values.first() {
            Some(first) => (first.value.clone(), first.source),
            None => (Some(default.to_owned()), SOURCE_DEFAULT),
        };
        DescribeConfigsResourceResult {
            name: self.name.to_owned(),
            value,
            read_only: self.read_only,
            config_source: source,
            is_sensitive: false,
            synonyms: self.values,
            config_type: self.kind as i8,
            documentation: Some(self.documentation.to_owned()),
        }
    }
}

fn value(name: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym { name: name.to_owned(), value: Some(value.to_owned()), source }
}

/// What a node has for a setting, from wherever.
fn values_of_broker(
    setting: &BrokerSetting,
    nodes: &Nodes,
    node: i32,
) -> Vec<DescribeConfigsSynonym> {
    let name = setting.name;
    let given = |broker: &str, source| {
        let given = nodes.settings.value(Owner::Broker, broker, name);
        given.map(|given| value(name, given, source))
    };
    let started_with = (setting.value)(&nodes.config);
    let default = (setting.value)(&BrokerConfig::default());
    let own = (started_with != default).then(|| value(name, &started_with, SOURCE_STATIC_BROKER));
    let all = [
        given(&node.to_string(), SOURCE_BROKER),
        given(ALL_BROKERS, SOURCE_ALL_BROKERS),
        own,
        Some(value(name, &default, SOURCE_DEFAULT)),
    ];
    all.into_iter().flatten().collect()
}

/// All settings of a topic that was given some, as a node has them.
pub(super) fn of_topic(
    overrides: &Overrides,
    nodes: &Nodes,
    node: i32,
) -> Vec<DescribeConfigsResourceResult> {
    let rows = SETTINGS.iter().map(|setting| {
        let own = overrides.get(setting.name);
        let own = own.map(|given| value(setting.name, &setting.kind.plain(given), SOURCE_TOPIC));
        let of_broker = broker_settings::for_topics(setting.name);
        let of_broker = of_broker.map(|setting| values_of_broker(setting, nodes, node));
        let row = Row {
            name: setting.name,
            kind: setting.kind,
            read_only: false,
            documentation: setting.documentation,
            values: own.into_iter().chain(of_broker.into_iter().flatten()).collect(),
        };
        row.told(setting.default)
    });
    rows.collect()
}

/// All settings of a node.
pub(super) fn of_broker(nodes: &Nodes, node: i32) -> Vec<DescribeConfigsResourceResult> {
    let rows = BROKER_SETTINGS.iter().map(|setting| {
        let row = Row {
            name: setting.name,
            kind: setting.kind,
            read_only: setting.change == Change::Never,
            documentation: setting.documentation,
            values: values_of_broker(setting, nodes, node),
        };
        row.told("")
    });
    let mut rows: Vec<_> = rows.chain(identity(nodes, node)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// What each node has for itself.
fn identity(nodes: &Nodes, node: i32) -> Vec<DescribeConfigsResourceResult> {
    let id = node.to_string();
    let folder = nodes.node(node).and_then(|node| node.data.as_ref());
    let folder = folder.map(|data| {
        let path = data.path();
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
    });
    let folder = folder.as_deref();
    let all = [
        ("broker.id", Kind::Int, Some(id.as_str()), "The id of this node."),
        ("broker.rack", Kind::String, nodes.config.rack_of(node), "Where this node is."),
        ("log.dir", Kind::List, folder, "Where this node's data is."),
        ("log.dirs", Kind::List, folder, "Where this node's data is."),
        ("node.id", Kind::Int, Some(id.as_str()), "The id of this node."),
    ];
    let rows = all.into_iter().filter_map(|(name, kind, known, documentation)| {
        let values = vec![value(name, known?, SOURCE_STATIC_BROKER)];
        Some(Row { name, kind, read_only: true, documentation, values }.told(""))
    });
    rows.collect()
}

/// What all brokers were given together.
pub(super) fn of_all_brokers(nodes: &Nodes) -> Vec<DescribeConfigsResourceResult> {
    let rows = BROKER_SETTINGS.iter().filter_map(|setting| {
        let given = nodes.settings.value(Owner::Broker, ALL_BROKERS, setting.name)?;
        let row = Row {
            name: setting.name,
            kind: setting.kind,
            read_only: false,
            documentation: setting.documentation,
            values: vec![value(setting.name, given, SOURCE_ALL_BROKERS)],
        };
        Some(row.told(""))
    });
    rows.collect()
}

/// All settings of a group, whether or not there is one.
pub(super) fn of_group(nodes: &Nodes, group: &str) -> Vec<DescribeConfigsResourceResult> {
    let rows = GROUP_SETTINGS.iter().map(|known| {
        let setting = &known.setting;
        let own = nodes.settings.value(Owner::Group, group, setting.name);
        let own = own.map(|given| value(setting.name, given.trim(), SOURCE_GROUP));
        // No node is given this while it runs.
        let of_broker = broker_settings::find(known.of_broker);
        let of_broker = of_broker.map(|setting| values_of_broker(setting, nodes, 0));
        let row = Row {
            name: setting.name,
            kind: setting.kind,
            read_only: false,
            documentation: setting.documentation,
            values: own.into_iter().chain(of_broker.into_iter().flatten()).collect(),
        };
        row.told(setting.default)
    });
    rows.collect()
}

/// All settings of a subscription of client metrics, whether or not there is one.
pub(super) fn of_client_metrics(nodes: &Nodes, name: &str) -> Vec<DescribeConfigsResourceResult> {
    let rows = METRICS_SETTINGS.iter().map(|setting| {
        let own = nodes.settings.value(Owner::ClientMetrics, name, setting.name);
        let row = Row {
            name: setting.name,
            kind: setting.kind,
            read_only: false,
            documentation: setting.documentation,
            values: own
                .map(|given| value(setting.name, given.trim(), SOURCE_CLIENT_METRICS))
                .into_iter()
                .collect(),
        };
        row.told(setting.default)
    });
    rows.collect()
}
