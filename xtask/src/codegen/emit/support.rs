//! Test support: the list of all messages, how to make up a value of each, and where each has
//! lengths.

use super::super::MARKER;
use super::super::jar::KAFKA_VERSION;
use super::super::model::{Api, Field, Message, Struct, struct_of};
use super::super::names;
use super::super::schema::{Type, Versions};
use super::definition::default_value;
use super::{When, presence, primitive, uses};

fn file(title: &str, body: &str) -> String {
    format!(
        "// {MARKER} from the schemas of Kafka {KAFKA_VERSION}. Do not edit.\n//! {title}\n\n{body}"
    )
}

fn all_messages(apis: &[Api]) -> impl Iterator<Item = (&Api, &Message)> {
    apis.iter().flat_map(|api| api.messages().map(|message| (api, message)))
}

fn all_structs(apis: &[Api]) -> impl Iterator<Item = (&Api, &Message, &Struct)> {
    all_messages(apis).flat_map(|(api, message)| {
        let structs = std::iter::once(&message.body).chain(&message.structs);
        structs.map(move |structure| (api, message, structure))
    })
}

/// The macro that goes through all messages.
pub(crate) fn list_file(apis: &[Api]) -> String {
    let rows: String = all_messages(apis)
        .map(|(api, message)| {
            let name = &message.body.name;
            format!(
                "$run!({}, {}, {name}, {});\n",
                api.module,
                names::snake_case(name),
                schema_name(message, &message.body)
            )
        })
        .collect();
    file(
        "The list of all messages.",
        &format!(
            "/// Calls a macro with module, name, type and schema of every message.\n\
             macro_rules! for_each_message {{\n($run:ident) => {{\n{rows}}};\n}}\n"
        ),
    )
}

/// How to make up values.
pub(crate) fn values_file(apis: &[Api]) -> String {
    let body: String =
        all_structs(apis).map(|(api, _, structure)| generator(&api.module, structure)).collect();
    file(
        "How to make up a value of every message, valid in a given version.",
        &format!(
            "{}use ottla_protocol::{{Uuid, messages}};\n\n\
             use crate::source::{{Generate, Source}};\n\n{body}",
            if uses(&body, "Bytes") { "use bytes::Bytes;\n" } else { "" }
        ),
    )
}

fn generator(module: &str, structure: &Struct) -> String {
    let fields: String = structure
        .fields
        .iter()
        .map(|field| {
            let value = value(structure, field);
            let value = match presence(structure, field) {
                When::Always => value,
                when => format!(
                    "if {} {{ {value} }} else {{ {} }}",
                    when.condition(),
                    qualified_default(module, field)
                ),
            };
            format!("{}: {value},\n", field.name)
        })
        .collect();
    let version = if uses(&fields, "version") { "version" } else { "_version" };
    format!(
        "impl Generate for messages::{module}::{} {{\n\
         fn generate(source: &mut Source<'_>, {version}: i16) -> Self {{\n\
         Self {{\n{fields}}}\n}}\n}}\n\n",
        structure.name
    )
}

fn qualified_default(module: &str, field: &Field) -> String {
    match &field.kind {
        Type::Struct(name) => format!("messages::{module}::{name}::default()"),
        _ => default_value(field),
    }
}

fn value(structure: &Struct, field: &Field) -> String {
    let plain = plain_value(&field.kind);
    if !field.is_nullable() {
        return plain;
    }
    let nullable = format!("source.option(|source| {plain})");
    match When::new(field.nullable, field.versions.intersect(structure.versions)) {
        When::Always => nullable,
        when => format!("if {} {{ {nullable} }} else {{ Some({plain}) }}", when.condition()),
    }
}

fn plain_value(kind: &Type) -> String {
    match kind {
        Type::String => "source.string()".to_owned(),
        Type::Bytes | Type::Records => "source.bytes()".to_owned(),
        Type::Struct(_) => "Generate::generate(source, version)".to_owned(),
        Type::Array(element) => format!("source.list(|source| {})", plain_value(element)),
        other => format!("source.{}()", primitive(other).unwrap_or_default()),
    }
}

/// Where the lengths are.
pub(crate) fn schemas_file(apis: &[Api]) -> String {
    let body: String =
        all_structs(apis).map(|(_, message, structure)| schema(message, structure)).collect();
    file(
        "The fields of every message in the order of the wire, with what a walk to a length needs.",
        &format!("use crate::walk::{{Field, Kind, Schema, Versions}};\n\n{body}"),
    )
}

/// `PRODUCE_REQUEST_TOPIC_PRODUCE_DATA`.
fn schema_name(message: &Message, structure: &Struct) -> String {
    let mut name = names::snake_case(&message.body.name);
    if structure.name != message.body.name {
        name += "_";
        name += &names::snake_case(&structure.name);
    }
    name.to_uppercase()
}

fn schema(message: &Message, structure: &Struct) -> String {
    let range = |versions: Versions| format!("Versions({}, {})", versions.min, versions.max);
    let fields: String = structure
        .fields
        .iter()
        .map(|field| {
            format!(
                "Field {{ name: \"{}\", kind: {}, versions: {}, nullable: {}, tag: {:?} }},\n",
                field.name.trim_start_matches("r#"),
                kind(message, &field.kind),
                range(field.versions),
                range(field.nullable),
                field.tag,
            )
        })
        .collect();
    format!(
        "pub(crate) static {}: Schema = Schema {{\n\
         name: \"{}\",\nflexible: {},\nfields: &[{fields}],\n}};\n\n",
        schema_name(message, structure),
        structure.name,
        range(message.flexible),
    )
}

fn kind(message: &Message, kind_of: &Type) -> String {
    let structure = |name: &str| message.structs.iter().find(|structure| structure.name == name);
    match kind_of {
        Type::Bool | Type::Int8 => "Kind::Fixed(1)".to_owned(),
        Type::Int16 | Type::Uint16 => "Kind::Fixed(2)".to_owned(),
        Type::Int32 | Type::Uint32 => "Kind::Fixed(4)".to_owned(),
        Type::Int64 | Type::Float64 => "Kind::Fixed(8)".to_owned(),
        Type::Uuid => "Kind::Fixed(16)".to_owned(),
        Type::String => "Kind::String".to_owned(),
        Type::Bytes | Type::Records => "Kind::Bytes".to_owned(),
        Type::Array(element) => format!("Kind::List(&{})", kind(message, element)),
        Type::Struct(_) => {
            let inner = struct_of(kind_of).and_then(structure);
            let name = inner.map(|inner| schema_name(message, inner)).unwrap_or_default();
            format!("Kind::Struct(&{name})")
        }
    }
}
