//! Rust source from the model. What comes out here is laid out by rustfmt afterwards.

mod decode;
mod definition;
mod encode;
mod support;

use super::MARKER;
use super::jar::KAFKA_VERSION;
use super::model::{Api, Field, Message, Struct};
use super::names;
use super::schema::{Type, Versions};

pub(crate) use support::{list_file, schemas_file, values_file};

/// The file with request and response of one API.
pub(crate) fn api_file(api: &Api) -> String {
    let Api { name, key, request, .. } = api;
    let mut body = String::new();
    for message in api.messages() {
        body += &message_source(api, message);
    }
    let flexible = match request.flexible {
        versions if versions.is_empty() => "no flexible version".to_owned(),
        versions => format!("flexible from version {}", versions.min),
    };
    format!(
        "// {name}, {MARKER} from the schemas of Kafka {KAFKA_VERSION}. Do not edit.\n\
         //! {name}: key {key}, versions {versions}, {flexible}.\n\n\
         {imports}{body}",
        versions = request.versions,
        imports = imports(&body),
    )
}

fn message_source(api: &Api, message: &Message) -> String {
    let mut out = String::new();
    out += &definition::structure(api, message, &message.body);
    out += &message_impl(api, message);
    for structure in &message.structs {
        out += &definition::structure(api, message, structure);
        out += &format!(
            "impl {} {{\n{}{}\n{}}}\n\n",
            structure.name,
            definition::min_bytes(message, structure),
            encode::function(structure),
            decode::function(structure)
        );
    }
    out
}

fn message_impl(api: &Api, message: &Message) -> String {
    let Struct { name, versions, .. } = &message.body;
    let flexible_from = match message.flexible {
        versions if versions.is_empty() => "i16::MAX".to_owned(),
        versions => versions.min.to_string(),
    };
    let mut out = format!(
        "impl Message for {name} {{\n\
         const VERSIONS: VersionRange = VersionRange::new({}, {});\n\
         const FLEXIBLE_FROM: i16 = {flexible_from};\n\n{}\n{}}}\n\n",
        versions.min,
        versions.max,
        encode::message_function(&message.body),
        decode::message_function(&message.body),
    );
    if std::ptr::eq(message, &api.request) {
        out += &format!(
            "impl Request for {name} {{\n\
             const API_KEY: ApiKey = ApiKey::{};\n\
             type Response = {};\n}}\n\n",
            constant(&api.name),
            api.response.body.name
        );
    }
    out
}

/// `ADD_OFFSETS_TO_TXN`.
fn constant(name: &str) -> String {
    names::snake_case(name).to_uppercase()
}

/// Whether a name stands in the text.
fn uses(text: &str, name: &str) -> bool {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).any(|word| word == name)
}

/// The imports that the text makes use of.
fn imports(body: &str) -> String {
    let uses = |name: &str| uses(body, name);
    let pick = |names: &[&str]| {
        let used: Vec<_> = names.iter().copied().filter(|name| uses(name)).collect();
        used.join(", ")
    };
    let mut out = String::new();
    for (name, path) in [("String", "alloc::string::String"), ("Vec", "alloc::vec::Vec")] {
        if uses(name) {
            out += &format!("use {path};\n");
        }
    }
    if uses("Bytes") {
        out += "\nuse bytes::Bytes;\n";
    }
    out += "\nuse crate::error::{DecodeError, EncodeError, InField};\n";
    out += "use crate::message::{check_decode, check_encode};\n";
    let rest = ["ApiKey", "Message", "Reader", "Request", "Uuid", "VersionRange", "write"];
    out + &format!("use crate::{{{}}};\n\n", pick(&rest))
}

/// The table of all APIs.
pub(crate) fn table_file(apis: &[Api]) -> String {
    let modules: String = apis.iter().map(|api| format!("pub mod {};\n", api.module)).collect();
    let keys: String =
        apis.iter().map(|api| format!("ApiKey::{},\n", constant(&api.name))).collect();
    let rows: String = apis.iter().map(table_row).collect();
    format!(
        "// {MARKER} from the schemas of Kafka {KAFKA_VERSION}. Do not edit.\n\
         //! The messages, one module for each API.\n\
         //!\n\
         //! A field that a version lacks decodes as its default. Encoding a version that lacks a\n\
         //! field which is not at its default is an error, unless the field's page says that it\n\
         //! is dropped.\n\n\
         {modules}\n\
         use crate::{{ApiKey, VersionRange}};\n\n\
         /// What the schemas say about one API.\n\
         pub(crate) struct Api {{\n\
         /// The versions that the messages here can have.\n\
         pub(crate) versions: VersionRange,\n\
         /// The first version with compact encodings and tagged fields.\n\
         pub(crate) first_flexible: i16,\n\
         }}\n\n\
         /// The APIs that have messages here, by ascending key.\n\
         pub const APIS: &[ApiKey] = &[{keys}];\n\n\
         /// The row of one API.\n\
         pub(crate) fn api(key: ApiKey) -> Option<Api> {{\n\
         let (min, max, first_flexible) = match key {{\n{rows}_ => return None,\n}};\n\
         Some(Api {{ versions: VersionRange::new(min, max), first_flexible }})\n\
         }}\n"
    )
}

fn table_row(api: &Api) -> String {
    let Message { versions, flexible, .. } = &api.request;
    let first = if flexible.is_empty() { "i16::MAX".to_owned() } else { flexible.min.to_string() };
    format!("ApiKey::{} => ({}, {}, {first}),\n", constant(&api.name), versions.min, versions.max)
}

/// When something holds, seen from inside a struct that occurs in some versions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Never,
    In { versions: Versions, of: Versions },
}

impl When {
    fn new(versions: Versions, of: Versions) -> Self {
        match versions.intersect(of) {
            both if both.is_empty() => Self::Never,
            both if both == of => Self::Always,
            versions => Self::In { versions, of },
        }
    }

    /// The condition in Rust.
    fn condition(self) -> String {
        match self {
            Self::Always => "true".to_owned(),
            Self::Never => "false".to_owned(),
            Self::In { versions, of } => match (versions.min > of.min, versions.max < of.max) {
                (true, false) => format!("version >= {}", versions.min),
                (false, _) => format!("version <= {}", versions.max),
                (true, true) => {
                    format!("({}..={}).contains(&version)", versions.min, versions.max)
                }
            },
        }
    }

    /// The opposite of the condition in Rust.
    fn negation(self) -> String {
        match self {
            Self::Always => "false".to_owned(),
            Self::Never => "true".to_owned(),
            Self::In { versions, of } => match (versions.min > of.min, versions.max < of.max) {
                (true, false) => format!("version < {}", versions.min),
                (false, _) => format!("version > {}", versions.max),
                (true, true) => {
                    format!("!({}..={}).contains(&version)", versions.min, versions.max)
                }
            },
        }
    }
}

/// When a field is there.
fn presence(structure: &Struct, field: &Field) -> When {
    When::new(field.versions, structure.versions)
}

/// The argument that says whether an encoding is compact.
fn flexible(structure: &Struct) -> &'static str {
    match When::new(structure.flexible, structure.versions) {
        When::Always => "true",
        When::Never => "false",
        When::In { .. } => "flexible",
    }
}

/// The variable behind [`flexible`], when `body` uses it.
fn flexible_binding(structure: &Struct, body: &str) -> String {
    match When::new(structure.flexible, structure.versions) {
        when @ When::In { .. } if body.contains("flexible") => {
            format!("let flexible = {};\n", when.condition())
        }
        _ => String::new(),
    }
}

/// The name of a field in an error.
fn label(structure: &Struct, field: &Field) -> String {
    format!("\"{}.{}\"", structure.name, field.name.trim_start_matches("r#"))
}

/// The name of a primitive in `Reader` and `write`, and of its Rust type but for `uuid`.
fn primitive(kind: &Type) -> Option<&'static str> {
    Some(match kind {
        Type::Bool => "bool",
        Type::Int8 => "i8",
        Type::Int16 => "i16",
        Type::Uint16 => "u16",
        Type::Int32 => "i32",
        Type::Uint32 => "u32",
        Type::Int64 => "i64",
        Type::Float64 => "f64",
        Type::Uuid => "uuid",
        _ => return None,
    })
}
