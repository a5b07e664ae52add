//! Walks a schema to each of its lengths and gives the bytes that lead there.

/// An inclusive range of versions; the first above the second for none.
#[derive(Clone, Copy)]
pub(crate) struct Versions(pub(crate) i16, pub(crate) i16);

impl Versions {
    pub(crate) fn contains(self, version: i16) -> bool {
        self.0 <= version && version <= self.1
    }
}

/// The fields of a struct in the order of the wire.
pub(crate) struct Schema {
    pub(crate) name: &'static str,
    pub(crate) flexible: Versions,
    pub(crate) fields: &'static [Field],
}

pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) versions: Versions,
    pub(crate) nullable: Versions,
    pub(crate) tag: Option<u32>,
}

pub(crate) enum Kind {
    /// So many bytes.
    Fixed(usize),
    String,
    Bytes,
    List(&'static Self),
    Struct(&'static Schema),
}

/// What sort of length stands somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    String,
    /// Of a byte array or a list.
    Bytes,
    /// How many tagged fields there are.
    TagCount,
    /// How long a tagged field is.
    TagSize,
}

/// A length in a message, and the valid bytes before it.
#[derive(Debug)]
pub(crate) struct Place {
    /// `Struct.field`.
    pub(crate) field: String,
    pub(crate) length: Length,
    pub(crate) flexible: bool,
    pub(crate) nullable: bool,
    prefix: Vec<u8>,
    /// Where tagged fields that hold the place say their size, the innermost last.
    sizes: Vec<usize>,
}

impl Place {
    pub(crate) fn in_tagged_field(&self) -> bool {
        !self.sizes.is_empty()
    }

    /// The message up to the place, then `length`, then `rest`.
    ///
    /// The sizes of tagged fields around the place fit what is written.
    pub(crate) fn with(&self, length: &[u8], rest: &[u8]) -> Vec<u8> {
        let mut out = self.prefix.clone();
        out.extend_from_slice(length);
        out.extend_from_slice(rest);
        for &at in &self.sizes {
            let size = u8::try_from(out.len() - at - 1).expect("a small tagged field");
            assert!(size < 0x80, "a size of one byte");
            out[at] = size;
        }
        out
    }

    /// How to write a length here.
    pub(crate) fn written(&self, length: i64) -> Vec<u8> {
        match (self.length, self.flexible) {
            (Length::TagCount | Length::TagSize, _) => unsigned(length as u64),
            (_, true) => unsigned((length + 1) as u64),
            (Length::String, false) => (length as i16).to_be_bytes().to_vec(),
            (Length::Bytes, false) => (length as i32).to_be_bytes().to_vec(),
        }
    }

    /// The greatest length that can be said here.
    pub(crate) fn greatest(&self) -> i64 {
        match (self.length, self.flexible) {
            (Length::TagCount | Length::TagSize, _) => i64::from(u32::MAX),
            (_, true) => i64::from(u32::MAX) - 1,
            (Length::String, false) => i64::from(i16::MAX),
            (Length::Bytes, false) => i64::from(i32::MAX),
        }
    }
}

fn unsigned(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// All lengths of a message in one version.
pub(crate) fn places(schema: &'static Schema, version: i16) -> Vec<Place> {
    let mut walk = Walk { version, places: Vec::new(), out: Vec::new(), sizes: Vec::new() };
    walk.structure(schema);
    walk.places
}

struct Walk {
    version: i16,
    places: Vec<Place>,
    /// The smallest message with one element in each list, as far as it has been walked.
    out: Vec<u8>,
    sizes: Vec<usize>,
}

impl Walk {
    fn place(&mut self, field: String, length: Length, flexible: bool, nullable: bool) {
        let (prefix, sizes) = (self.out.clone(), self.sizes.clone());
        self.places.push(Place { field, length, flexible, nullable, prefix, sizes });
    }

    fn structure(&mut self, schema: &'static Schema) {
        let flexible = schema.flexible.contains(self.version);
        let present: Vec<_> =
            schema.fields.iter().filter(|field| field.versions.contains(self.version)).collect();
        for field in present.iter().filter(|field| field.tag.is_none()) {
            self.field(schema, field, flexible);
        }
        if flexible {
            self.place(schema.name.to_owned(), Length::TagCount, true, false);
            // Each tagged field is walked alone; the message then goes on without any.
            for field in present.iter().filter(|field| field.tag.is_some()) {
                let (out, sizes) = (self.out.clone(), self.sizes.clone());
                let tag = field.tag.unwrap_or_default() as u8;
                self.out.extend_from_slice(&[1, tag]);
                self.place(schema.name.to_owned(), Length::TagSize, true, false);
                self.sizes.push(self.out.len());
                self.out.push(0);
                self.field(schema, field, true);
                (self.out, self.sizes) = (out, sizes);
            }
            self.out.push(0);
        }
    }

    fn field(&mut self, schema: &'static Schema, field: &'static Field, flexible: bool) {
        let label = format!("{}.{}", schema.name, field.name);
        let nullable = field.nullable.contains(self.version);
        self.value(label, &field.kind, flexible, nullable);
    }

    fn value(&mut self, label: String, kind: &'static Kind, flexible: bool, nullable: bool) {
        match kind {
            Kind::Fixed(size) => self.out.extend(std::iter::repeat_n(0, *size)),
            Kind::Struct(schema) => {
                if nullable {
                    // It is there.
                    self.out.push(1);
                }
                self.structure(schema);
            }
            Kind::String => {
                self.place(label, Length::String, flexible, nullable);
                self.out.extend_from_slice(if flexible { &[1] } else { &[0, 0] });
            }
            Kind::Bytes => {
                self.place(label, Length::Bytes, flexible, nullable);
                self.out.extend_from_slice(if flexible { &[1] } else { &[0, 0, 0, 0] });
            }
            Kind::List(element) => {
                self.place(label.clone(), Length::Bytes, flexible, nullable);
                self.out.extend_from_slice(if flexible { &[2] } else { &[0, 0, 0, 1] });
                self.value(label, element, flexible, false);
            }
        }
    }
}
