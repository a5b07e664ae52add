//! Schemas made ready to be written as Rust: names settled, versions cut to what can occur,
//! sizes known.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::schema::{self, Type, Versions};

/// Request and response of one API.
pub(crate) struct Api {
    /// `Produce`.
    pub(crate) name: String,
    pub(crate) key: i16,
    /// `produce`.
    pub(crate) module: String,
    pub(crate) request: Message,
    pub(crate) response: Message,
}

/// A request or a response.
pub(crate) struct Message {
    pub(crate) versions: Versions,
    pub(crate) flexible: Versions,
    /// The message's own struct.
    pub(crate) body: Struct,
    /// The structs inside it, each after the one that uses it first.
    pub(crate) structs: Vec<Struct>,
}

/// One struct of a message.
pub(crate) struct Struct {
    pub(crate) name: String,
    /// The versions in which it can occur.
    pub(crate) versions: Versions,
    /// The flexible ones among them.
    pub(crate) flexible: Versions,
    pub(crate) fields: Vec<Field>,
    /// The least bytes that it takes on the wire, in any version.
    pub(crate) min_bytes: usize,
    /// Whether its encoding depends on the version.
    pub(crate) needs_version: bool,
    /// The structs that its fields use and whose encoding depends on the version.
    inner_with_version: BTreeSet<String>,
}

impl Struct {
    /// Whether the functions of a struct that a field uses take the version.
    pub(crate) fn inner_needs_version(&self, inner: &str) -> bool {
        self.inner_with_version.contains(inner)
    }
}

/// One field of a struct.
pub(crate) struct Field {
    /// Kafka's spelling.
    pub(crate) schema_name: String,
    /// Rust's spelling.
    pub(crate) name: String,
    /// The type, with struct names as Rust has them.
    pub(crate) kind: Type,
    /// The versions that have the field, cut to those of the struct; never empty.
    pub(crate) versions: Versions,
    /// The versions in which it may be null.
    pub(crate) nullable: Versions,
    /// The tag, for a field that is a tagged one in every version that has it.
    pub(crate) tag: Option<u32>,
    pub(crate) ignorable: bool,
    pub(crate) default: Option<String>,
}

impl Field {
    /// Whether the Rust type is an `Option`.
    pub(crate) fn is_nullable(&self) -> bool {
        !self.nullable.is_empty()
    }

    /// Whether the default is null.
    pub(crate) fn is_null_by_default(&self) -> bool {
        // Records have no other default in Kafka's own generator.
        let records = self.kind == Type::Records && self.default.is_none();
        self.is_nullable() && (records || self.default.as_deref() == Some("null"))
    }
}

impl Api {
    pub(crate) fn build(
        name: &str,
        mut request: schema::Message,
        mut response: schema::Message,
    ) -> Result<Self, String> {
        if request.key != response.key {
            return Err(format!("{name}: request and response differ in their key"));
        }
        if request.latest_unstable {
            request.versions.max -= 1;
        }
        response.versions = response.versions.intersect(request.versions);
        if request.flexible.intersect(request.versions)
            != response.flexible.intersect(response.versions)
        {
            return Err(format!("{name}: request and response differ in their flexible versions"));
        }
        let collisions = collisions(&request, &response);
        Ok(Self {
            name: name.to_owned(),
            key: request.key,
            module: names::snake_case(name),
            request: Builder::new(&request, &collisions)?.message()?,
            response: Builder::new(&response, &collisions)?.message()?,
        })
    }

    pub(crate) fn messages(&self) -> [&Message; 2] {
        [&self.request, &self.response]
    }
}

/// Struct names that request and response both use.
fn collisions(request: &schema::Message, response: &schema::Message) -> BTreeSet<String> {
    let names = |message: &schema::Message| {
        let mut names = BTreeSet::from([message.name.clone()]);
        let common = message.common.iter().map(|(name, _)| name.clone());
        names.extend(common);
        let all = message.common.iter().flat_map(|(_, fields)| fields).chain(&message.fields);
        all.for_each(|field| collect_names(field, &mut names));
        names
    };
    names(request).intersection(&names(response)).cloned().collect()
}

fn collect_names(field: &schema::Field, names: &mut BTreeSet<String>) {
    if !field.fields.is_empty() {
        names.extend(struct_of(&field.kind).map(str::to_owned));
    }
    field.fields.iter().for_each(|field| collect_names(field, names));
}

/// The struct that a type is or lists.
pub(crate) fn struct_of(kind: &Type) -> Option<&str> {
    match kind {
        Type::Struct(name) => Some(name),
        Type::Array(element) => struct_of(element),
        _ => None,
    }
}

/// What is known about a struct while a message is built.
struct Draft<'a> {
    fields: &'a [schema::Field],
    versions: Versions,
}

struct Builder<'a> {
    message: &'a schema::Message,
    collisions: &'a BTreeSet<String>,
    /// The structs in the order of their first use.
    order: Vec<String>,
    drafts: BTreeMap<String, Draft<'a>>,
}

impl<'a> Builder<'a> {
    fn new(message: &'a schema::Message, collisions: &'a BTreeSet<String>) -> Result<Self, String> {
        let mut builder = Self { message, collisions, order: Vec::new(), drafts: BTreeMap::new() };
        for (name, fields) in &message.common {
            builder.drafts.insert(name.clone(), Draft { fields, versions: Versions::NONE });
        }
        builder.visit(&message.fields, message.versions)?;
        Ok(builder)
    }

    /// Finds every struct below `fields` and the versions in which it can occur.
    fn visit(&mut self, fields: &'a [schema::Field], versions: Versions) -> Result<(), String> {
        for field in fields {
            let Some(name) = struct_of(&field.kind) else { continue };
            let versions = field.versions.intersect(versions);
            if versions.is_empty() {
                continue;
            }
            let draft = match self.drafts.get_mut(name) {
                Some(draft) => draft,
                None => self
                    .drafts
                    .entry(name.to_owned())
                    .or_insert(Draft { fields: &field.fields, versions: Versions::NONE }),
            };
            if !field.fields.is_empty() && !std::ptr::eq(draft.fields, field.fields.as_slice()) {
                return Err(format!("two structs are called {name}"));
            }
            if draft.fields.is_empty() {
                return Err(format!("struct {name} has no fields"));
            }
            draft.versions = draft.versions.hull(versions);
            let (fields, versions) = (draft.fields, draft.versions);
            if !self.order.iter().any(|known| known == name) {
                self.order.push(name.to_owned());
            }
            self.visit(fields, versions)?;
        }
        Ok(())
    }

    fn message(&self) -> Result<Message, String> {
        let message = self.message;
        let structs: Result<Vec<_>, _> = self
            .order
            .iter()
            .map(|name| {
                let draft = &self.drafts[name];
                self.structure(self.rust_name(name), draft.fields, draft.versions)
            })
            .collect();
        Ok(Message {
            versions: message.versions,
            flexible: message.flexible.intersect(message.versions),
            body: self.structure(message.name.clone(), &message.fields, message.versions)?,
            structs: structs?,
        })
    }

    fn rust_name(&self, name: &str) -> String {
        if self.collisions.contains(name) {
            format!("{}{name}", self.message.name)
        } else {
            name.to_owned()
        }
    }

    fn structure(
        &self,
        name: String,
        fields: &[schema::Field],
        versions: Versions,
    ) -> Result<Struct, String> {
        let present = fields.iter().filter(|field| !field.versions.intersect(versions).is_empty());
        let built: Result<Vec<_>, _> = present
            .map(|field| {
                self.field(field, versions)
                    .map_err(|error| format!("{name}.{}: {error}", field.name))
            })
            .collect();
        let min_bytes = versions.iter().map(|version| self.min_bytes(fields, version)).min();
        Ok(Struct {
            name,
            versions,
            flexible: self.message.flexible.intersect(versions),
            fields: built?,
            min_bytes: min_bytes.unwrap_or_default(),
            needs_version: self.needs_version(fields, versions),
            inner_with_version: self.inner_with_version(fields),
        })
    }

    fn inner_with_version(&self, fields: &[schema::Field]) -> BTreeSet<String> {
        let inner = fields.iter().filter_map(|field| struct_of(&field.kind));
        inner
            .filter(|name| {
                let draft = &self.drafts[*name];
                self.needs_version(draft.fields, draft.versions)
            })
            .map(|name| self.rust_name(name))
            .collect()
    }

    fn field(&self, field: &schema::Field, versions: Versions) -> Result<Field, String> {
        let present = field.versions.intersect(versions);
        let tagged = field.tagged.intersect(versions);
        if !tagged.is_empty() && tagged != present {
            return Err("tagged in some of its versions only".to_owned());
        }
        let nullable = field.nullable.intersect(present);
        match &field.kind {
            Type::Struct(_) if field.default.as_deref() != Some("null") && !nullable.is_empty() => {
                return Err("a struct that may be null, but is not by default".to_owned());
            }
            Type::Array(element) if matches!(**element, Type::Array(_)) => {
                return Err("a list of lists is not supported".to_owned());
            }
            _ => {}
        }
        Ok(Field {
            schema_name: field.name.clone(),
            name: names::field_name(&field.name),
            kind: self.rust_kind(&field.kind),
            versions: present,
            nullable,
            tag: field.tag.filter(|_| !tagged.is_empty()),
            ignorable: field.ignorable,
            default: field.default.clone(),
        })
    }

    fn rust_kind(&self, kind: &Type) -> Type {
        match kind {
            Type::Struct(name) => Type::Struct(self.rust_name(name)),
            Type::Array(element) => Type::Array(Box::new(self.rust_kind(element))),
            other => other.clone(),
        }
    }

    /// The least bytes of these fields in one version.
    fn min_bytes(&self, fields: &[schema::Field], version: i16) -> usize {
        let flexible = self.message.flexible.contains(version);
        let untagged = fields
            .iter()
            .filter(|field| field.versions.contains(version) && !field.tagged.contains(version));
        let least = |field: &schema::Field| match field.kind {
            // One that is null is a byte.
            Type::Struct(_) if field.nullable.contains(version) => 1,
            _ => self.min_type_bytes(&field.kind, version),
        };
        let sum: usize = untagged.map(least).sum();
        sum + usize::from(flexible)
    }

    fn min_type_bytes(&self, kind: &Type, version: i16) -> usize {
        let flexible = self.message.flexible.contains(version);
        match kind {
            Type::Bool | Type::Int8 => 1,
            Type::Int16 | Type::Uint16 => 2,
            Type::Int32 | Type::Uint32 => 4,
            Type::Int64 | Type::Float64 => 8,
            Type::Uuid => 16,
            Type::String | Type::Bytes | Type::Records | Type::Array(_) if flexible => 1,
            Type::String => 2,
            Type::Bytes | Type::Records | Type::Array(_) => 4,
            Type::Struct(name) => self.min_bytes(self.drafts[name].fields, version),
        }
    }

    fn needs_version(&self, fields: &[schema::Field], versions: Versions) -> bool {
        let varies = |part: Versions| {
            let part = part.intersect(versions);
            !part.is_empty() && part != versions
        };
        varies(self.message.flexible)
            || fields.iter().any(|field| {
                varies(field.versions)
                    || (!field.nullable.is_empty() && varies(field.nullable))
                    || (!field.versions.intersect(versions).is_empty()
                        && struct_of(&field.kind).is_some_and(|name| {
                            let draft = &self.drafts[name];
                            self.needs_version(draft.fields, draft.versions)
                        }))
            })
    }
}
