//! `ottla topic`: creating, listing, describing and deleting topics.

use ottla::admin::{Admin, NewTopic, TopicDescription};
use serde_json::{Value, json};

use super::configure::security;
use crate::args::settings;
use crate::args::topic::{
    CommonArgs, CreateArgs, DeleteArgs, DescribeArgs, ListArgs, TopicAction, TopicArgs,
};
use crate::embedded::Servers;
use crate::exit::{Exit, Failure};
use crate::signals::StopSignals;
use crate::summary::layout;
use crate::talk::Talk;

/// Does what was asked and prints what there is to print.
pub(crate) async fn run(args: TopicArgs, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    let action = args.action;
    let common = common(&action);
    let mut properties = common.settings.read(None)?;
    let target = settings::target(&common.target, &mut properties)?;
    let security = security(&properties.list, target.servers())?;
    let servers = Servers::open(&target, talk)?;
    let done = async {
        let timeout = common.target.timeout();
        let mut admin = super::connect(&servers.bootstrap, &security, timeout, talk).await?;
        perform(&action, &mut admin, talk).await
    };
    let output = tokio::select! {
        biased;
        () = signals.next() => {
            servers.stop();
            return Ok(Exit::Interrupted);
        }
        output = done => output,
    };
    servers.stop();
    super::print(output?.as_bytes())?;
    Ok(Exit::Done)
}

fn common(action: &TopicAction) -> &CommonArgs {
    match action {
        TopicAction::Create(args) => &args.common,
        TopicAction::List(args) => &args.common,
        TopicAction::Describe(args) => &args.common,
        TopicAction::Delete(args) => &args.common,
    }
}

async fn perform(action: &TopicAction, admin: &mut Admin, talk: &Talk) -> Result<String, Failure> {
    match action {
        TopicAction::Create(args) => create(args, admin, talk).await,
        TopicAction::List(args) => list(args, admin).await,
        TopicAction::Describe(args) => describe(args, admin).await,
        TopicAction::Delete(args) => delete(args, admin, talk).await,
    }
}

async fn create(args: &CreateArgs, admin: &mut Admin, talk: &Talk) -> Result<String, Failure> {
    let mut topic = NewTopic::new(&args.name);
    if let Some(partitions) = args.partitions {
        topic = topic.partitions(partitions);
    }
    if let Some(replication) = args.replication {
        topic = topic.replication(replication);
    }
    for (name, value) in &args.configs {
        topic = topic.config(name, value);
    }
    let created = admin.create_topic(&topic).await.map_err(super::failure)?;
    if args.common.json {
        return Ok(line(&json!({
            "name": created.name,
            "id": created.id.to_string(),
            "partitions": created.partition_count,
            "replication": created.replication,
        })));
    }
    talk.note(format_args!(
        "created topic {} with {} and {}",
        created.name,
        crate::talk::count(created.partition_count as u64, "partition"),
        crate::talk::count(created.replication as u64, "replica"),
    ));
    Ok(String::new())
}

async fn list(args: &ListArgs, admin: &mut Admin) -> Result<String, Failure> {
    let mut topics = admin.list_topics().await.map_err(super::failure)?;
    topics.retain(|topic| args.internal || !topic.is_internal);
    if args.common.json {
        let topics = topics.iter().map(|topic| {
            json!({
                "name": topic.name,
                "id": topic.id.to_string(),
                "partitions": topic.partition_count,
                "replication": topic.replication,
                "internal": topic.is_internal,
            })
        });
        return Ok(line(&topics.collect::<Value>()));
    }
    let heading = ["name", "partitions", "replication"].map(str::to_owned);
    let rows: Vec<[String; 3]> = topics
        .into_iter()
        .map(|t| [t.name, t.partition_count.to_string(), t.replication.to_string()])
        .collect();
    Ok(if rows.is_empty() { String::new() } else { lines(layout(&heading, &rows)) })
}

async fn describe(args: &DescribeArgs, admin: &mut Admin) -> Result<String, Failure> {
    let topic = admin.describe_topic(&args.name).await.map_err(super::failure)?;
    Ok(if args.common.json { line(&description_json(&topic)) } else { description_text(&topic) })
}

async fn delete(args: &DeleteArgs, admin: &mut Admin, talk: &Talk) -> Result<String, Failure> {
    admin.delete_topic(&args.name).await.map_err(super::failure)?;
    if args.common.json {
        return Ok(line(&json!({ "name": args.name, "deleted": true })));
    }
    talk.note(format_args!("deleted topic {}", args.name));
    Ok(String::new())
}

fn description_json(topic: &TopicDescription) -> Value {
    let partition = |p: &ottla::admin::PartitionDescription| {
        json!({
            "partition": p.partition,
            "leader": p.leader,
            "leader_epoch": p.leader_epoch,
            "replicas": p.replicas,
            "isr": p.isr,
            "offline_replicas": p.offline_replicas,
            "earliest_offset": p.earliest_offset,
            "latest_offset": p.latest_offset,
        })
    };
    let configs = topic.configs.as_ref().map(|configs| {
        let entry = |config: &ottla::admin::ConfigEntry| {
            (config.name.clone(), config.value.clone().map_or(Value::Null, Value::String))
        };
        configs.iter().map(entry).collect::<serde_json::Map<_, _>>()
    });
    json!({
        "name": topic.name,
        "id": topic.id.to_string(),
        "internal": topic.is_internal,
        "partitions": topic.partitions.iter().map(partition).collect::<Value>(),
        "configs": configs,
    })
}

fn description_text(topic: &TopicDescription) -> String {
    let mut text = format!("topic {}, id {}\n", topic.name, topic.id);
    let heading =
        ["partition", "leader", "replicas", "isr", "earliest", "latest"].map(str::to_owned);
    let known = |offset: Option<i64>| offset.map_or_else(|| "?".to_owned(), |o| o.to_string());
    let nodes = |nodes: &[i32]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let rows = topic.partitions.iter().map(|p| {
        [
            p.partition.to_string(),
            p.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
            nodes(&p.replicas),
            nodes(&p.isr),
            known(p.earliest_offset),
            known(p.latest_offset),
        ]
    });
    text.push_str(&lines(layout(&heading, &rows.collect::<Vec<_>>())));
    for config in topic.configs.iter().flatten() {
        let value = config.value.as_deref().unwrap_or("(secret)");
        text.push_str(&format!("{}={value}\n", config.name));
    }
    text
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

fn lines(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}
